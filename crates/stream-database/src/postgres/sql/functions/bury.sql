-- Moves jobs into the table of dead letters. Returns the places of those that were not current.
CREATE OR REPLACE FUNCTION {+bury}(in_queue text, ids uuid[], tokens bigint[], errors bytea[]) RETURNS bigint[]
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
DECLARE
    ended bigint[];
BEGIN
    WITH buried AS (
        DELETE FROM {jobs} AS job
        USING unnest(ids, tokens, errors) WITH ORDINALITY AS asked (id, token, error, place)
        WHERE job.id = asked.id AND job.token = asked.token AND job.queue || '' = in_queue
        RETURNING job.id, job.payload, job.attempts, job.created_at, job.priority, job.lost, job.unique_key,
                  asked.error, asked.place
    ),
    letters AS (
        INSERT INTO {dead} (id, queue, payload, attempts, created_at, priority, lost, unique_key, error)
        SELECT id, in_queue, payload, attempts, created_at, priority, lost, unique_key, error
        FROM buried
        ORDER BY place
    )
    SELECT array_agg(place) INTO ended FROM buried;
    IF cardinality(ended) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT generate_series(1::bigint, cardinality(ids)) EXCEPT SELECT unnest(ended));
END $body$;
