-- queue, after, until, most letters.
SELECT burial, id, unique_key
FROM {dead} FORCE INDEX (`{name}_dead_queue`)
WHERE queue = ? AND burial > ? AND burial <= ?
ORDER BY burial
LIMIT ?
FOR UPDATE SKIP LOCKED
