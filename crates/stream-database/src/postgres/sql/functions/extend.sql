-- Moves the ends of leases. Returns the places of those that were not moved, and whether the token stands in the
-- row all the same: then another transaction holds it, perhaps the handler's own.
CREATE OR REPLACE FUNCTION {+extend}(in_queue text, ids uuid[], tokens bigint[], lease bigint)
RETURNS TABLE (place integer, is_current boolean)
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
DECLARE
    free uuid[];
    held uuid[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    free := ARRAY(
        SELECT id
        FROM {jobs}
        WHERE id = ANY (ids) AND token = tokens[width_bucket(id, ids)] AND queue || '' = in_queue
        FOR UPDATE SKIP LOCKED
    );
    UPDATE {jobs}
    SET available_at = statement_timestamp() + lease * interval '1 microsecond'
    WHERE id = ANY (free) AND queue || '' = in_queue;
    IF cardinality(free) = cardinality(ids) THEN
        RETURN;
    END IF;
    held := ARRAY(
        SELECT id
        FROM {jobs}
        WHERE id = ANY (ids) AND token = tokens[width_bucket(id, ids)] AND queue || '' = in_queue
    );
    RETURN QUERY
    SELECT asked.nth::integer, asked.id = ANY (held)
    FROM unnest(ids) WITH ORDINALITY AS asked (id, nth)
    WHERE asked.id <> ALL (free);
END $body$;
