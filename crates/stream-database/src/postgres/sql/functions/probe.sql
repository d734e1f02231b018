-- Microseconds until the first row of each queue is due, four steps into the index for each.
CREATE OR REPLACE FUNCTION {+probe}(queues text[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
BEGIN
    RETURN QUERY
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
    )
    FROM unnest(queues) WITH ORDINALITY AS asked (queue, place)
    ORDER BY asked.place;
END $body$;
