-- Locks the rows of the deliveries that are current, says which, and makes them wait. Each names its part of
-- the errors by start and bytes; a release has none.
SET @ended = :ended;
SELECT ended.place
FROM (
    SELECT place, UNHEX(id) AS id, token
    FROM JSON_TABLE(@ended, '$[*]' COLUMNS (
        place FOR ORDINALITY,
        id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
        token BIGINT PATH '$[1]'
    )) AS listed
) AS ended
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
    ON job.id = ended.id AND job.queue = :queue AND job.token = ended.token
FOR UPDATE;
UPDATE (
    SELECT UNHEX(id) AS id, token, wait, start, bytes
    FROM JSON_TABLE(@ended, '$[*]' COLUMNS (
        id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
        token BIGINT PATH '$[1]',
        wait BIGINT PATH '$[2]',
        start BIGINT PATH '$[3]',
        bytes BIGINT PATH '$[4]'
    )) AS listed
) AS ended
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
    ON job.id = ended.id AND job.queue = :queue AND job.token = ended.token
SET job.reserved_at = NULL,
    job.token = NULL,
    job.available_at = UTC_TIMESTAMP(6) + INTERVAL ended.wait MICROSECOND,
    job.attempts = job.attempts + (ended.bytes IS NOT NULL),
    job.last_error = COALESCE(SUBSTRING(:errors, ended.start, ended.bytes), job.last_error)
