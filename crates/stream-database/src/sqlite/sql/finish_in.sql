-- ?1 queue, ?2 id, ?3 token.
DELETE FROM {jobs} WHERE id = ?2 AND queue = ?1 AND token = ?3
