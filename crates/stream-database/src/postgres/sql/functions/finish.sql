-- Deletes jobs. Returns the places of those that were not current.
--
-- Here and below: the ids are in order, and none is there twice, so that each row finds its place among them by a
-- search. A join would do the same, but a planner that believes the table to be empty reads all of it for that.
-- For the same reason the queue is compared in a way that no index answers: the id tells nearly all rows apart.
CREATE OR REPLACE FUNCTION {+finish}(in_queue text, ids uuid[], tokens bigint[]) RETURNS integer[]
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
DECLARE
    ended integer[];
BEGIN
    WITH gone AS (
        DELETE FROM {jobs}
        WHERE id = ANY (ids) AND token = tokens[width_bucket(id, ids)] AND queue || '' = in_queue
        RETURNING width_bucket(id, ids) AS place
    )
    SELECT array_agg(place) INTO ended FROM gone;
    IF cardinality(ended) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT generate_series(1, cardinality(ids)) EXCEPT SELECT unnest(ended));
END $body$;
