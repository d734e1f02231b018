-- ?1 queue, ?2 ids in a row, ?3 for each [token, error in hex], ?4 now. The rows are deleted by `finish`.
INSERT INTO {dead} (id, queue, payload, attempts, created_at, buried_at, priority, lost, unique_key, error)
SELECT job.id, ?1, job.payload, job.attempts, job.created_at, ?4, job.priority, job.lost, job.unique_key,
       unhex(ended.value ->> 1)
FROM json_each(?3) AS ended
CROSS JOIN {jobs} AS job INDEXED BY "{name}_id"
WHERE job.id = substr(?2, 16 * ended.key + 1, 16) AND job.queue = ?1 AND job.token = ended.value ->> 0
ORDER BY ended.key
