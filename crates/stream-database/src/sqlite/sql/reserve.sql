-- ?1 queue, ?2 most rows, ?3 lease, ?4 token, ?5 now.
-- A range of the index for each priority, entered in order and left as soon as there is enough. The index is
-- named, so that no statistics can lead to another one.
UPDATE {jobs}
SET reserved_at = ?5,
    due_at = available_at,
    available_at = ?5 + ?3,
    lost = lost + (reserved_at IS NOT NULL),
    token = ?4
WHERE place IN (
    SELECT place FROM (
        SELECT place FROM (
            SELECT place FROM {jobs} INDEXED BY "{name}_fetch"
            WHERE queue = ?1 AND priority = 0 AND available_at <= ?5 ORDER BY available_at, place LIMIT ?2
        )
        UNION ALL
        SELECT place FROM (
            SELECT place FROM {jobs} INDEXED BY "{name}_fetch"
            WHERE queue = ?1 AND priority = 1 AND available_at <= ?5 ORDER BY available_at, place LIMIT ?2
        )
        UNION ALL
        SELECT place FROM (
            SELECT place FROM {jobs} INDEXED BY "{name}_fetch"
            WHERE queue = ?1 AND priority = 2 AND available_at <= ?5 ORDER BY available_at, place LIMIT ?2
        )
        UNION ALL
        SELECT place FROM (
            SELECT place FROM {jobs} INDEXED BY "{name}_fetch"
            WHERE queue = ?1 AND priority = 3 AND available_at <= ?5 ORDER BY available_at, place LIMIT ?2
        )
    )
    LIMIT ?2
)
RETURNING id, payload, attempts, lost, last_error, priority, due_at, place
