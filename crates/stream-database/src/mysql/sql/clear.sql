-- queue, enough rows, queue, most rows, queue. Seen first and then locked one by one, as in reserve.sql.
DELETE job
FROM (
    SELECT job.id
    FROM (
        SELECT id
        FROM {jobs} FORCE INDEX (`{name}_fetch`)
        WHERE queue = ? AND (reserved_at IS NULL OR available_at <= UTC_TIMESTAMP(6))
        LIMIT ?
    ) AS seen
    STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
        ON job.id = seen.id AND job.queue = ? AND (job.reserved_at IS NULL OR job.available_at <= UTC_TIMESTAMP(6))
    LIMIT ?
    FOR UPDATE SKIP LOCKED
) AS waiting
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY) ON job.id = waiting.id AND job.queue = ?
