-- Locks the rows of the deliveries that are current, says which, and deletes them.
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
