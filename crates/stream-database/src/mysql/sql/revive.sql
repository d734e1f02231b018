-- burials.
INSERT INTO {jobs} (id, queue, payload, created_at, priority, place, unique_key, last_error)
SELECT dead.id, dead.queue, dead.payload, dead.created_at, dead.priority, asked.place, dead.unique_key, dead.error
FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, burial BIGINT PATH '$')) AS asked
STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = asked.burial
