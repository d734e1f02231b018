-- Makes letters jobs again, and tells other processes on a channel, or not if it is null.
-- Inserts first and deletes only what was inserted: a letter whose key is taken stays.
CREATE OR REPLACE FUNCTION {+revive}(in_queue text, after bigint, until bigint, most bigint, channel text)
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
        SELECT *
        FROM {dead}
        WHERE queue = in_queue AND burial > after AND burial <= until
        ORDER BY burial
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ),
    revived AS (
        INSERT INTO {jobs} (id, queue, payload, created_at, priority, place, unique_key, last_error)
        SELECT id, in_queue, payload, created_at, priority, row_number() OVER (ORDER BY burial), unique_key, error
        FROM looked
        ORDER BY burial
        ON CONFLICT DO NOTHING
        RETURNING id
    ),
    gone AS (
        DELETE FROM {dead} AS dead
        USING looked JOIN revived ON revived.id = looked.id
        WHERE dead.queue = in_queue AND dead.burial = looked.burial
        RETURNING dead.burial
    )
    SELECT (SELECT count(*) FROM gone), (SELECT max(burial) FROM looked) INTO count, last;
    IF channel IS NOT NULL AND count > 0 THEN
        PERFORM pg_notify(channel, in_queue);
    END IF;
    RETURN NEXT;
END $body$;
