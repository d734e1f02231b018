-- $1 queue, $2 after, $3 until, $4 most letters, $5 the channel to tell other processes on, or null.
-- Inserts first and deletes only what was inserted: a letter whose key is taken stays.
WITH looked AS MATERIALIZED (
    SELECT *
    FROM {dead}
    WHERE queue = $1 AND burial > $2 AND burial <= $3
    ORDER BY burial
    LIMIT $4
    FOR UPDATE SKIP LOCKED
),
revived AS (
    INSERT INTO {jobs} (id, queue, payload, created_at, priority, place, unique_key, last_error)
    SELECT id, $1, payload, created_at, priority, row_number() OVER (ORDER BY burial), unique_key, error
    FROM looked
    ORDER BY burial
    ON CONFLICT DO NOTHING
    RETURNING id
),
gone AS (
    DELETE FROM {dead} AS dead
    USING looked JOIN revived ON revived.id = looked.id
    WHERE dead.queue = $1 AND dead.burial = looked.burial
    RETURNING dead.burial
),
told AS MATERIALIZED (
    SELECT pg_notify($5::text, $1) FROM (SELECT FROM revived LIMIT 1) AS news WHERE $5::text IS NOT NULL
)
SELECT (SELECT count(*) FROM gone) AS count,
       (SELECT max(burial) FROM looked) AS last
FROM (SELECT count(*) FROM told) AS heard
