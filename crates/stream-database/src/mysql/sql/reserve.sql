-- First those that are due, without a lock: four ranges of the index, read in its order and left as soon as
-- there are enough, some more than wanted, since others may hold a few of them. Then these are locked one by
-- one, and what is locked by others is passed over. To lock while a range is read would lock the row behind
-- its end as well on MariaDB, and hide the first job of another queue from its workers; to read inside the
-- update would lock and wait on both. What was taken is then known by its token, and found by the end of its
-- lease.
SET @now = UTC_TIMESTAMP(6);
SET @until = @now + INTERVAL :lease MICROSECOND;
SELECT JSON_ARRAYAGG(HEX(id)) INTO @seen
FROM (
    SELECT id
    FROM {jobs} FORCE INDEX (`{name}_fetch`)
    WHERE queue = :queue AND priority IN (0, 1, 2, 3) AND available_at <= @now
    ORDER BY priority, available_at, place
    LIMIT :enough
) AS due;
UPDATE (
    SELECT job.id, job.available_at, job.reserved_at
    FROM (
        SELECT UNHEX(id) AS id
        FROM JSON_TABLE(@seen, '$[*]' COLUMNS (id VARCHAR(32) CHARACTER SET ascii PATH '$')) AS listed
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
