-- For each: 2 if its lease was moved, 1 if the token stands in the row, which then another transaction
-- holds, perhaps the handler's own, and 0 if it does not.
SET @kept = :kept;
SET @until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND;
UPDATE (
    SELECT job.id
    FROM (
        SELECT place, UNHEX(id) AS id, token
        FROM JSON_TABLE(@kept, '$[*]' COLUMNS (
            place FOR ORDINALITY,
            id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
            token BIGINT PATH '$[1]'
        )) AS listed
    ) AS kept
    STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
        ON job.id = kept.id AND job.queue = :queue AND job.token = kept.token
    LIMIT :most
    FOR UPDATE SKIP LOCKED
) AS free
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY) ON job.id = free.id AND job.queue = :queue
SET job.available_at = @until;
SELECT (job.id IS NOT NULL) + COALESCE(job.available_at = @until, 0) AS answer
FROM (
    SELECT place, UNHEX(id) AS id, token
    FROM JSON_TABLE(@kept, '$[*]' COLUMNS (
        place FOR ORDINALITY,
        id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
        token BIGINT PATH '$[1]'
    )) AS listed
) AS kept
LEFT JOIN {jobs} AS job FORCE INDEX (PRIMARY)
    ON job.id = kept.id AND job.queue = :queue AND job.token = kept.token
ORDER BY kept.place
