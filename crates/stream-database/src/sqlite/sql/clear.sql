-- ?1 queue, ?2 most rows, ?3 now.
DELETE FROM {jobs}
WHERE place IN (
    SELECT place FROM {jobs}
    WHERE queue = ?1 AND (reserved_at IS NULL OR available_at <= ?3)
    LIMIT ?2
)
