-- Seen first and then locked one by one, as in reserve.sql. Answers how many were seen and how many went.
SELECT JSON_ARRAYAGG(HEX(id)), COUNT(*) INTO @seen, @count
FROM (
    SELECT id
    FROM {jobs} FORCE INDEX (`{name}_fetch`)
    WHERE queue = :queue AND (reserved_at IS NULL OR available_at <= UTC_TIMESTAMP(6))
    LIMIT :most
) AS waiting;
DELETE job
FROM (
    SELECT job.id
    FROM (
        SELECT UNHEX(id) AS id
        FROM JSON_TABLE(@seen, '$[*]' COLUMNS (id VARCHAR(32) CHARACTER SET ascii PATH '$')) AS listed
    ) AS seen
    STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
        ON job.id = seen.id AND job.queue = :queue
        AND (job.reserved_at IS NULL OR job.available_at <= UTC_TIMESTAMP(6))
    LIMIT :most
    FOR UPDATE SKIP LOCKED
) AS waiting
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY) ON job.id = waiting.id AND job.queue = :queue;
SELECT CAST(@count AS SIGNED) AS seen, CAST(ROW_COUNT() AS SIGNED) AS gone
