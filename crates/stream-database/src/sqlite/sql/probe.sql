-- ?1 queues, ?2 now. Microseconds until the first row of each is due, four steps into the index for each.
SELECT (
    SELECT min(first.available_at) - ?2
    FROM (
        SELECT min(available_at) AS available_at FROM {jobs} WHERE queue = asked.value AND priority = 0
        UNION ALL
        SELECT min(available_at) FROM {jobs} WHERE queue = asked.value AND priority = 1
        UNION ALL
        SELECT min(available_at) FROM {jobs} WHERE queue = asked.value AND priority = 2
        UNION ALL
        SELECT min(available_at) FROM {jobs} WHERE queue = asked.value AND priority = 3
    ) AS first
) AS until
FROM json_each(?1) AS asked
ORDER BY asked.key
