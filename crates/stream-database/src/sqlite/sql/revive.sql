-- ?1 queue, ?2 after, ?3 until, ?4 now. Returns the ids that are new: a letter whose key is taken stays.
INSERT INTO {jobs} (id, queue, payload, available_at, created_at, priority, unique_key, last_error)
SELECT id, ?1, payload, ?4, created_at, priority, unique_key, error
FROM {dead}
WHERE queue = ?1 AND burial > ?2 AND burial <= ?3
ORDER BY burial
ON CONFLICT DO NOTHING
RETURNING id
