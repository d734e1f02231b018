-- ?1 queue, ?2 after, ?3 until, ?4 ids in a row, ?5 a list as long as the ids.
DELETE FROM {dead}
WHERE queue = ?1 AND burial > ?2 AND burial <= ?3
  AND id IN (SELECT substr(?4, 16 * revived.key + 1, 16) FROM json_each(?5) AS revived)
