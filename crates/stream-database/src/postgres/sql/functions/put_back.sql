-- Makes jobs wait; an error is null for a release. Tells other processes on a channel, or not if it is null.
-- Returns the places of those that were not current.
CREATE OR REPLACE FUNCTION {+put_back}(
    in_queue text, ids uuid[], tokens bigint[], waits bigint[], errors bytea[], channel text
) RETURNS integer[]
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
    WITH waiting AS (
        UPDATE {jobs}
        SET reserved_at = NULL,
            token = NULL,
            available_at = statement_timestamp() + waits[width_bucket(id, ids)] * interval '1 microsecond',
            attempts = attempts + (errors[width_bucket(id, ids)] IS NOT NULL)::integer,
            last_error = coalesce(errors[width_bucket(id, ids)], last_error)
        WHERE id = ANY (ids) AND token = tokens[width_bucket(id, ids)] AND queue || '' = in_queue
        RETURNING width_bucket(id, ids) AS place
    )
    SELECT array_agg(place) INTO ended FROM waiting;
    IF channel IS NOT NULL AND ended IS NOT NULL THEN
        PERFORM pg_notify(channel, in_queue);
    END IF;
    IF cardinality(ended) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT generate_series(1, cardinality(ids)) EXCEPT SELECT unnest(ended));
END $body$;
