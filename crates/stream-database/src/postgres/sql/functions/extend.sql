-- Moves the ends of leases. Returns the places of those that were not moved, and whether the token stands in the
-- row all the same: then another transaction holds it, perhaps the handler's own.
CREATE OR REPLACE FUNCTION {+extend}(in_queue text, ids uuid[], tokens bigint[], lease bigint)
RETURNS TABLE (place bigint, is_current boolean)
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
#variable_conflict use_column
DECLARE
    moved bigint[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    WITH free AS MATERIALIZED (
        SELECT job.id, asked.place
        FROM unnest(ids, tokens) WITH ORDINALITY AS asked (id, token, place)
        JOIN {jobs} AS job ON job.id = asked.id AND job.token = asked.token AND job.queue || '' = in_queue
        FOR UPDATE OF job SKIP LOCKED
    ),
    longer AS (
        UPDATE {jobs} AS job
        SET available_at = statement_timestamp() + lease * interval '1 microsecond'
        FROM free
        WHERE job.id = free.id AND job.queue || '' = in_queue
        RETURNING free.place
    )
    SELECT array_agg(longer.place) INTO moved FROM longer;
    IF cardinality(moved) = cardinality(ids) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT asked.place,
           EXISTS (
               SELECT FROM {jobs} AS job
               WHERE job.id = asked.id AND job.token = asked.token AND job.queue || '' = in_queue
           )
    FROM unnest(ids, tokens) WITH ORDINALITY AS asked (id, token, place)
    WHERE moved IS NULL OR asked.place <> ALL (moved);
END $body$;
