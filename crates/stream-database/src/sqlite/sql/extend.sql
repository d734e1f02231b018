-- ?1 queue, ?2 ids in a row, ?3 tokens, ?4 lease, ?5 now. Returns the ids of those that were current.
UPDATE {jobs}
SET available_at = ?5 + ?4
WHERE place IN (
    SELECT job.place
    FROM json_each(?3) AS held
    CROSS JOIN {jobs} AS job INDEXED BY "{name}_id"
    WHERE job.id = substr(?2, 16 * held.key + 1, 16) AND job.queue = ?1 AND job.token = held.value
)
RETURNING id
