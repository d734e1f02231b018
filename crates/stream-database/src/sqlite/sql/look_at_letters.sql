-- ?1 queue, ?2 after, ?3 until, ?4 most letters.
SELECT max(burial)
FROM (SELECT burial FROM {dead} WHERE queue = ?1 AND burial > ?2 AND burial <= ?3 ORDER BY burial LIMIT ?4)
