-- $1 queue, $2 ids, $3 tokens, $4 lease in microseconds. For each: whether its lease was moved, and whether
-- the token stands in the row: then another transaction holds it, perhaps the handler's own.
WITH relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
),
free AS MATERIALIZED (
    SELECT job.id, asked.place
    FROM relaxed
    CROSS JOIN unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS asked (id, token, place)
    JOIN {jobs} AS job ON job.id = asked.id AND job.queue = $1 AND job.token = asked.token
    FOR UPDATE OF job SKIP LOCKED
),
moved AS (
    UPDATE {jobs} AS job
    SET available_at = statement_timestamp() + $4::bigint * interval '1 microsecond'
    FROM free
    WHERE job.id = free.id AND job.queue = $1
    RETURNING free.place
)
SELECT moved.place IS NOT NULL AS is_moved,
       EXISTS (
           SELECT FROM {jobs} AS job
           WHERE job.id = asked.id AND job.queue = $1 AND job.token = asked.token
       ) AS is_current
FROM unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS asked (id, token, place)
LEFT JOIN moved ON moved.place = asked.place
ORDER BY asked.place
