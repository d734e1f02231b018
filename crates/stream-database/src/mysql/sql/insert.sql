-- queue, payloads one after the other, rows, rows, queue. All rows are stored or none: none if one is dead.
INSERT INTO {jobs} (id, queue, payload, available_at, priority, place, unique_key)
SELECT UNHEX(input.id), ?, SUBSTRING(?, input.start, input.bytes),
       UTC_TIMESTAMP(6) + INTERVAL input.delay MICROSECOND,
       input.priority, input.place, UNHEX(input.unique_key)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    place FOR ORDINALITY,
    id VARCHAR(32) CHARACTER SET ascii PATH '$[0]',
    start BIGINT PATH '$[1]',
    bytes BIGINT PATH '$[2]',
    priority INT PATH '$[3]',
    delay BIGINT PATH '$[4]',
    unique_key VARCHAR(510) CHARACTER SET ascii PATH '$[5]'
)) AS input
WHERE NOT EXISTS (
    SELECT 1
    FROM JSON_TABLE(?, '$[*]' COLUMNS (id VARCHAR(32) CHARACTER SET ascii PATH '$[0]')) AS asked
    STRAIGHT_JOIN {dead} AS dead FORCE INDEX (`{name}_dead_id`)
        ON dead.id = UNHEX(asked.id) AND dead.queue = ?
)
