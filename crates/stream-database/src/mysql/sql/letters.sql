-- queue, after, most letters.
SELECT burial, id, payload, attempts, lost, error
FROM {dead} FORCE INDEX (`{name}_dead_queue`)
WHERE queue = ? AND burial > ?
ORDER BY burial
LIMIT ?
