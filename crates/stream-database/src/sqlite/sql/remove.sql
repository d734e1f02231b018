-- ?1 queue, ?2 after, ?3 until.
DELETE FROM {dead} WHERE queue = ?1 AND burial > ?2 AND burial <= ?3
