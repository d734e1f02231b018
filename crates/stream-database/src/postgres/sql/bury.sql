-- $1 queue, $2 ids, $3 tokens, $4 errors. Returns the places of those that were current.
WITH buried AS (
    DELETE FROM {jobs} AS job
    USING unnest($2::uuid[], $3::bigint[], $4::bytea[]) WITH ORDINALITY AS ended (id, token, error, place)
    WHERE job.id = ended.id AND job.queue = $1 AND job.token = ended.token
    RETURNING job.id, job.payload, job.attempts, job.created_at, job.priority, job.lost, job.unique_key,
              ended.error, ended.place
),
letters AS (
    INSERT INTO {dead} (id, queue, payload, attempts, created_at, priority, lost, unique_key, error)
    SELECT id, $1, payload, attempts, created_at, priority, lost, unique_key, error
    FROM buried
    ORDER BY place
)
SELECT place FROM buried
