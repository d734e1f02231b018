-- Locks the rows of the deliveries that are current, says which, and moves them. Each names its part of the
-- errors by start and bytes.
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
INSERT INTO {dead} (id, queue, payload, attempts, created_at, priority, lost, unique_key, error)
SELECT job.id, job.queue, job.payload, job.attempts, job.created_at, job.priority, job.lost, job.unique_key,
       SUBSTRING(:errors, ended.start, ended.bytes)
FROM (
    SELECT UNHEX(id) AS id, token, start, bytes
    FROM JSON_TABLE(@ended, '$[*]' COLUMNS (
        id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
        token BIGINT PATH '$[1]',
        start BIGINT PATH '$[2]',
        bytes BIGINT PATH '$[3]'
    )) AS listed
) AS ended
STRAIGHT_JOIN {jobs} AS job FORCE INDEX (PRIMARY)
    ON job.id = ended.id AND job.queue = :queue AND job.token = ended.token;
DELETE job
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
