-- Of each job: whether the queue holds its id, and who holds its unique key.
CREATE OR REPLACE FUNCTION {+find}(in_queue text, ids uuid[], unique_keys bytea[])
RETURNS TABLE (is_held boolean, holder uuid)
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
BEGIN
    RETURN QUERY
    SELECT (SELECT count(*) FROM {jobs} AS job WHERE job.id = asked.id AND job.queue || '' = in_queue)
         + (SELECT count(*) FROM {dead} AS dead WHERE dead.id = asked.id AND dead.queue || '' = in_queue) > 0,
           (SELECT job.id FROM {jobs} AS job
            WHERE job.unique_key = asked.unique_key AND job.queue || '' = in_queue)
    FROM unnest(ids, unique_keys) WITH ORDINALITY AS asked (id, unique_key, place)
    ORDER BY asked.place;
END $body$;
