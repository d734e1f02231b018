-- Stores jobs and tells other processes on a channel, or not if it is null. Returns the ids that are not new.
-- The dead letters are looked at last, by a statement of its own that sees what was committed since: an insert
-- may have waited for a transaction that buried its job.
CREATE OR REPLACE FUNCTION {+insert}(
    to_queue text, ids uuid[], payloads bytea[], priorities smallint[], delays bigint[], unique_keys bytea[],
    channel text
) RETURNS uuid[]
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
AS $body$
DECLARE
    stored uuid[];
    dead_ids uuid[];
BEGIN
    WITH new AS (
        INSERT INTO {jobs} (id, queue, payload, available_at, priority, place, unique_key)
        SELECT input.id, to_queue, input.payload,
               statement_timestamp() + input.delay * interval '1 microsecond',
               input.priority, input.place, input.unique_key
        FROM unnest(ids, payloads, priorities, delays, unique_keys)
             WITH ORDINALITY AS input (id, payload, priority, delay, unique_key, place)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT array_agg(new.id) INTO stored FROM new;
    SELECT array_agg(id) INTO dead_ids FROM {dead} WHERE id = ANY (stored) AND queue || '' = to_queue;
    IF dead_ids IS NOT NULL THEN
        DELETE FROM {jobs} WHERE id = ANY (dead_ids) AND queue || '' = to_queue;
        stored := ARRAY(SELECT unnest(stored) EXCEPT SELECT unnest(dead_ids));
    END IF;
    IF channel IS NOT NULL AND cardinality(stored) > 0 THEN
        PERFORM pg_notify(channel, to_queue);
    END IF;
    IF cardinality(stored) = cardinality(ids) THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(stored));
END $body$;
