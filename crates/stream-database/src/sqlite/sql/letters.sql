-- ?1 queue, ?2 after, ?3 most letters.
SELECT burial, id, payload, attempts, lost, error
FROM {dead}
WHERE queue = ?1 AND burial > ?2
ORDER BY burial
LIMIT ?3
