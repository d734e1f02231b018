-- $1 queue, $2 ids, $3 unique keys. For each: whether the queue holds the id, and who holds the key.
SELECT EXISTS (SELECT FROM {jobs} AS job WHERE job.id = asked.id AND job.queue = $1)
    OR EXISTS (SELECT FROM {dead} AS dead WHERE dead.id = asked.id AND dead.queue = $1) AS is_held,
       (SELECT job.id FROM {jobs} AS job WHERE job.queue = $1 AND job.unique_key = asked.unique_key) AS holder
FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS asked (id, unique_key, place)
ORDER BY asked.place
