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
DECLARE
    burials bigint[];
    revived uuid[];
BEGIN
    burials := ARRAY(
        SELECT burial
        FROM {dead}
        WHERE queue = in_queue AND burial > after AND burial <= until
        ORDER BY burial
        LIMIT most
        FOR UPDATE SKIP LOCKED
    );
    last := burials[cardinality(burials)];
    WITH new AS (
        INSERT INTO {jobs} (id, queue, payload, created_at, priority, place, unique_key, last_error)
        SELECT id, in_queue, payload, created_at, priority, width_bucket(burial, burials), unique_key, error
        FROM {dead}
        WHERE queue = in_queue AND burial > after AND burial <= last AND burial = ANY (burials)
        ORDER BY burial
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO revived FROM new;
    DELETE FROM {dead}
    WHERE queue = in_queue AND burial > after AND burial <= last AND burial = ANY (burials) AND id = ANY (revived);
    GET DIAGNOSTICS count = ROW_COUNT;
    IF channel IS NOT NULL AND count > 0 THEN
        PERFORM pg_notify(channel, in_queue);
    END IF;
    RETURN NEXT;
END $body$;
