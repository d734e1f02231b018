-- ?1 queue, ?2 ids in a row, ?3 payloads in a row, ?4 for each [priority, wait, where its payload begins,
-- bytes of its payload, unique key in hex or null], ?5 now. Returns the ids that are new.
INSERT INTO {jobs} (id, queue, payload, available_at, created_at, priority, unique_key)
SELECT substr(?2, 16 * input.key + 1, 16), ?1,
       substr(?3, input.value ->> 2, input.value ->> 3),
       ?5 + (input.value ->> 1), ?5, input.value ->> 0, unhex(input.value ->> 4)
FROM json_each(?4) AS input
WHERE NOT EXISTS (
    SELECT 1 FROM {dead} AS dead WHERE dead.id = substr(?2, 16 * input.key + 1, 16) AND dead.queue = ?1
)
ON CONFLICT DO NOTHING
RETURNING id
