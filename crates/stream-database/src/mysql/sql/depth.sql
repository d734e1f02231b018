-- queue, queue.
SELECT COUNT(CASE WHEN available_at <= UTC_TIMESTAMP(6) THEN 1 END) AS ready,
       COUNT(CASE WHEN available_at > UTC_TIMESTAMP(6) AND reserved_at IS NULL THEN 1 END) AS is_delayed,
       COUNT(CASE WHEN available_at > UTC_TIMESTAMP(6) AND reserved_at IS NOT NULL THEN 1 END) AS reserved,
       (SELECT COUNT(*) FROM {dead} WHERE queue = ?) AS dead
FROM {jobs}
WHERE queue = ?
