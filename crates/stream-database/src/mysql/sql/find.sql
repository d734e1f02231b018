-- queue, queue, queue, rows. For each: whether the queue has the job, or its letter, and who holds the key.
SELECT EXISTS (SELECT 1 FROM {jobs} AS job WHERE job.id = UNHEX(asked.id) AND job.queue = ?) AS is_waiting,
       EXISTS (SELECT 1 FROM {dead} AS dead WHERE dead.id = UNHEX(asked.id) AND dead.queue = ?) AS is_dead,
       (SELECT job.id FROM {jobs} AS job WHERE job.queue = ? AND job.unique_key = UNHEX(asked.unique_key))
           AS holder
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    place FOR ORDINALITY,
    id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
    unique_key VARCHAR(510) CHARACTER SET ascii PATH '$[1]'
)) AS asked
ORDER BY asked.place
