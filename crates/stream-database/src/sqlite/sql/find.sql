-- ?1 queue, ?2 ids in a row, ?3 unique keys in hex, or null. For each: whether the queue holds the id, and
-- who holds the key.
SELECT EXISTS (SELECT 1 FROM {jobs} AS job WHERE job.id = substr(?2, 16 * asked.key + 1, 16) AND job.queue = ?1)
    OR EXISTS (SELECT 1 FROM {dead} AS dead WHERE dead.id = substr(?2, 16 * asked.key + 1, 16) AND dead.queue = ?1)
       AS is_held,
       (SELECT job.id FROM {jobs} AS job WHERE job.queue = ?1 AND job.unique_key = unhex(asked.value)) AS holder
FROM json_each(?3) AS asked
ORDER BY asked.key
