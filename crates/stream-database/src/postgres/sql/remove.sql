-- $1 queue, $2 after, $3 until, $4 most letters.
WITH looked AS MATERIALIZED (
    SELECT burial
    FROM {dead}
    WHERE queue = $1 AND burial > $2 AND burial <= $3
    ORDER BY burial
    LIMIT $4
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM {dead} AS dead USING looked
    WHERE dead.queue = $1 AND dead.burial = looked.burial
    RETURNING dead.burial
)
SELECT (SELECT count(*) FROM gone) AS count, (SELECT max(burial) FROM looked) AS last
