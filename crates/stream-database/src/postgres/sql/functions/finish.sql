-- Deletes jobs. Returns the places of those that were not current.
-- Here and below the queue is compared in a way that no index answers: the id alone tells nearly all rows apart,
-- and statistics that were made of an empty table would send a planner through the whole queue.
CREATE OR REPLACE FUNCTION {+finish}(in_queue text, ids uuid[], tokens bigint[]) RETURNS bigint[]
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
    WITH gone AS (
        DELETE FROM {jobs} AS job
        USING unnest(ids, tokens) WITH ORDINALITY AS asked (id, token, place)
        WHERE job.id = asked.id AND job.token = asked.token AND job.queue || '' = in_queue
        RETURNING asked.place
    )
    SELECT array_agg(place) INTO ended FROM gone;
    IF cardinality(ended) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT generate_series(1::bigint, cardinality(ids)) EXCEPT SELECT unnest(ended));
END $body$;
