-- Deletes letters.
CREATE OR REPLACE FUNCTION {+remove}(in_queue text, after bigint, until bigint, most bigint)
RETURNS TABLE (count bigint, last bigint)
LANGUAGE plpgsql
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
    WITH looked AS MATERIALIZED (
        SELECT burial
        FROM {dead}
        WHERE queue = in_queue AND burial > after AND burial <= until
        ORDER BY burial
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM {dead} AS dead USING looked
        WHERE dead.queue = in_queue AND dead.burial = looked.burial
        RETURNING dead.burial
    )
    SELECT (SELECT count(*) FROM gone), (SELECT max(burial) FROM looked) INTO count, last;
    RETURN NEXT;
END $body$;
