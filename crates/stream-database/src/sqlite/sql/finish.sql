-- ?1 queue, ?2 ids in a row, ?3 tokens. Returns the ids of those that were current.
DELETE FROM {jobs}
WHERE place IN (
    SELECT job.place
    FROM json_each(?3) AS ended
    CROSS JOIN {jobs} AS job INDEXED BY "{name}_id"
    WHERE job.id = substr(?2, 16 * ended.key + 1, 16) AND job.queue = ?1 AND job.token = ended.value
)
RETURNING id
