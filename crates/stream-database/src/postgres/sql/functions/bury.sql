-- Moves jobs into the table of dead letters. Returns the places of those that were not current.
CREATE OR REPLACE FUNCTION {+bury}(in_queue text, ids uuid[], tokens bigint[], errors bytea[]) RETURNS integer[]
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
    WITH buried AS (
        DELETE FROM {jobs}
        WHERE id = ANY (ids) AND token = tokens[width_bucket(id, ids)] AND queue || '' = in_queue
        RETURNING *, width_bucket(id, ids) AS nth
    ),
    letters AS (
        INSERT INTO {dead} (id, queue, payload, attempts, created_at, priority, lost, unique_key, error)
        SELECT id, in_queue, payload, attempts, created_at, priority, lost, unique_key, errors[nth]
        FROM buried
    )
    SELECT array_agg(nth) INTO ended FROM buried;
    IF cardinality(ended) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT generate_series(1, cardinality(ids)) EXCEPT SELECT unnest(ended));
END $body$;
