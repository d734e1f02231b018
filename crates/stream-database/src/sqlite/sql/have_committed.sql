-- ?1 tickets, ?2 the oldest that is kept. For each: whether its transaction was committed.
SELECT asked.value < ?2 OR EXISTS (SELECT 1 FROM "{name}_completed" WHERE ticket = asked.value)
FROM json_each(?1) AS asked
ORDER BY asked.key
