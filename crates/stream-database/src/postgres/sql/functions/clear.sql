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
    removed bigint;
BEGIN
    WITH waiting AS MATERIALIZED (
        SELECT id
        FROM {jobs}
        WHERE queue = in_queue AND (reserved_at IS NULL OR available_at <= statement_timestamp())
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM {jobs} AS job USING waiting
        WHERE job.id = waiting.id AND job.queue || '' = in_queue
        RETURNING job.id
    )
    SELECT count(*) INTO removed FROM gone;
    RETURN removed;
END $body$;
