-- First, without a lock, those that are due: four ranges of the index, read in its order and left as soon
-- as there are enough, some more than wanted, since others may hold a few of them. Then these are locked one
-- by one, and what is locked by others is passed over. To lock while a range is read would lock the row
-- behind its end as well on MariaDB, and hide the first job of another queue from its workers. What was taken
-- is then known by its token, and found by the end of its lease.
SET @now = UTC_TIMESTAMP(6);
SET @until = @now + INTERVAL :lease MICROSECOND;
UPDATE (
    SELECT job.id, job.available_at, job.reserved_at
    FROM (
        SELECT id
        FROM {jobs} FORCE INDEX (`{name}_fetch`)
        WHERE queue = :queue AND priority IN (0, 1, 2, 3) AND available_at <= @now
        ORDER BY priority, available_at, place
        LIMIT :enough
    ) AS seen
    STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
        ON job.id = seen.id AND job.queue = :queue AND job.available_at <= @now
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
