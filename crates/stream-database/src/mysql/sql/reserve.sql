-- Four ranges of the index, read in its order and left as soon as there is enough. The rows are locked
-- where they are found, inside; what is locked by others is passed over. What was taken is then known by
-- its token, and found by the end of its lease.
SET @now = UTC_TIMESTAMP(6);
SET @until = @now + INTERVAL :lease MICROSECOND;
UPDATE (
    SELECT id, available_at, reserved_at
    FROM {jobs} FORCE INDEX (`{name}_fetch`)
    WHERE queue = :queue AND priority IN (0, 1, 2, 3) AND available_at <= @now
    ORDER BY priority, available_at, place
    LIMIT :most
    FOR UPDATE SKIP LOCKED
) AS due
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY) ON job.id = due.id AND job.queue = :queue
SET job.lost = job.lost + (due.reserved_at IS NOT NULL),
    job.due_at = due.available_at,
    job.reserved_at = @now,
    job.available_at = @until,
    job.token = :token;
SELECT id, payload, attempts, lost, last_error
FROM {jobs} FORCE INDEX (`{name}_fetch`)
WHERE queue = :queue AND priority IN (0, 1, 2, 3) AND available_at = @until AND token = :token
ORDER BY priority, due_at, place
