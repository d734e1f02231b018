-- queue, most rows, queue.
DELETE job
FROM (
    SELECT id
    FROM {jobs} FORCE INDEX (`{name}_fetch`)
    WHERE queue = ? AND (reserved_at IS NULL OR available_at <= UTC_TIMESTAMP(6))
    LIMIT ?
    FOR UPDATE SKIP LOCKED
) AS waiting
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY) ON job.id = waiting.id AND job.queue = ?
