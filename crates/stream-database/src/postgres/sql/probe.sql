-- $1 queues. Microseconds until the first row of each is due, four steps into the index for each.
SELECT (
    SELECT (extract(epoch FROM min(first.available_at) - statement_timestamp()) * 1000000)::bigint
    FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS level (priority)
    CROSS JOIN LATERAL (
        SELECT job.available_at
        FROM {jobs} AS job
        WHERE job.queue = asked.queue AND job.priority = level.priority
        ORDER BY job.available_at
        LIMIT 1
    ) AS first
) AS until
FROM unnest($1::text[]) WITH ORDINALITY AS asked (queue, place)
ORDER BY asked.place
