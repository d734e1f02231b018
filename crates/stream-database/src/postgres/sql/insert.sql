-- $1 queue, $2 ids, $3 payloads, $4 priorities, $5 delays in microseconds, $6 unique keys,
-- $7 the channel to tell other processes on, or null. Returns the ids that are new.
WITH stored AS (
    INSERT INTO {jobs} (id, queue, payload, available_at, priority, place, unique_key)
    SELECT input.id, $1, input.payload,
           statement_timestamp() + input.delay * interval '1 microsecond',
           input.priority, input.place, input.unique_key
    FROM unnest($2::uuid[], $3::bytea[], $4::smallint[], $5::bigint[], $6::bytea[])
         WITH ORDINALITY AS input (id, payload, priority, delay, unique_key, place)
    WHERE NOT EXISTS (SELECT FROM {dead} AS dead WHERE dead.id = input.id AND dead.queue = $1)
    ORDER BY input.place
    ON CONFLICT DO NOTHING
    RETURNING id
),
told AS MATERIALIZED (
    SELECT pg_notify($7::text, $1) FROM (SELECT FROM stored LIMIT 1) AS news WHERE $7::text IS NOT NULL
)
SELECT stored.id FROM stored LEFT JOIN told ON true
