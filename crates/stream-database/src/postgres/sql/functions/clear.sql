-- Deletes jobs that wait, ended leases among them; says how many.
CREATE OR REPLACE FUNCTION {+clear}(in_queue text, most bigint) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
DECLARE
    waiting uuid[];
    removed bigint;
BEGIN
    waiting := ARRAY(
        SELECT id
        FROM {jobs}
        WHERE queue = in_queue AND (reserved_at IS NULL OR available_at <= statement_timestamp())
        LIMIT most
        FOR UPDATE SKIP LOCKED
    );
    DELETE FROM {jobs} WHERE id = ANY (waiting) AND queue || '' = in_queue;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $body$;
