-- Dead letters from behind a burial, in their order.
CREATE OR REPLACE FUNCTION {+letters}(in_queue text, after bigint, most bigint)
RETURNS TABLE (burial bigint, id uuid, payload bytea, attempts integer, lost integer, error bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
SET enable_sort TO off
AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT dead.burial, dead.id, dead.payload, dead.attempts, dead.lost, dead.error
    FROM {dead} AS dead
    WHERE dead.queue = in_queue AND dead.burial > after
    ORDER BY dead.burial
    LIMIT most;
END $body$;
