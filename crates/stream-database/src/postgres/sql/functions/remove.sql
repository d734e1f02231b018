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
DECLARE
    burials bigint[];
BEGIN
    burials := ARRAY(
        SELECT burial
        FROM {dead}
        WHERE queue = in_queue AND burial > after AND burial <= until
        ORDER BY burial
        LIMIT most
        FOR UPDATE SKIP LOCKED
    );
    last := burials[cardinality(burials)];
    DELETE FROM {dead}
    WHERE queue = in_queue AND burial > after AND burial <= last AND burial = ANY (burials);
    GET DIAGNOSTICS count = ROW_COUNT;
    RETURN NEXT;
END $body$;
