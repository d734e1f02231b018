-- $1 queue, $2 most rows, $3 lease in microseconds, $4 token.
-- A range of the index for each priority, entered in order and left as soon as there is enough. Taken once
-- (MATERIALIZED), or a planner could look again and take more rows than it returns.
-- The commit is not awaited on disk: a crash that undoes it makes the rows be taken again.
WITH relaxed AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
),
taken AS MATERIALIZED (
    SELECT due.id, due.available_at
    FROM relaxed
    CROSS JOIN (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS level (priority)
    CROSS JOIN LATERAL (
        SELECT job.id, job.available_at
        FROM {jobs} AS job
        WHERE job.queue = $1 AND job.priority = level.priority
          AND job.available_at <= statement_timestamp()
        ORDER BY job.available_at, job.place
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT $2
)
UPDATE {jobs} AS job
SET reserved_at = statement_timestamp(),
    available_at = statement_timestamp() + $3::bigint * interval '1 microsecond',
    lost = job.lost + (job.reserved_at IS NOT NULL)::integer,
    token = $4
FROM taken
WHERE job.id = taken.id AND job.queue = $1
RETURNING job.id, job.payload, job.attempts, job.lost, job.last_error, job.priority,
          (extract(epoch FROM taken.available_at) * 1000000)::bigint AS due, job.place
