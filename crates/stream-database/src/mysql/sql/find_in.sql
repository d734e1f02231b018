-- queue, queue, queue, rows. As find.sql, but of what is committed now: a transaction of the program may see
-- the tables as they were when it began, and still not be let store what somebody has stored since.
SELECT EXISTS (
           SELECT 1 FROM {jobs} AS job WHERE job.id = UNHEX(asked.id) AND job.queue = ? LOCK IN SHARE MODE
       ) AS is_waiting,
       EXISTS (
           SELECT 1 FROM {dead} AS dead WHERE dead.id = UNHEX(asked.id) AND dead.queue = ? LOCK IN SHARE MODE
       ) AS is_dead,
       (
           SELECT job.id FROM {jobs} AS job
           WHERE job.queue = ? AND job.unique_key = UNHEX(asked.unique_key) LOCK IN SHARE MODE
       ) AS holder
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    place FOR ORDINALITY,
    id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
    unique_key VARCHAR(510) CHARACTER SET ascii PATH '$[1]'
)) AS asked
ORDER BY asked.place
