-- $1 queue, $2 ids, $3 tokens, $4 waits in microseconds, $5 errors, null for a release,
-- $6 the channel to tell other processes on, or null. Returns the places of those that were current.
WITH waiting AS (
    UPDATE {jobs} AS job
    SET reserved_at = NULL,
        token = NULL,
        available_at = statement_timestamp() + ended.wait * interval '1 microsecond',
        attempts = job.attempts + (ended.error IS NOT NULL)::integer,
        last_error = coalesce(ended.error, job.last_error)
    FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bytea[])
         WITH ORDINALITY AS ended (id, token, wait, error, place)
    WHERE job.id = ended.id AND job.queue = $1 AND job.token = ended.token
    RETURNING ended.place
),
told AS MATERIALIZED (
    SELECT pg_notify($6::text, $1) FROM (SELECT FROM waiting LIMIT 1) AS news WHERE $6::text IS NOT NULL
)
SELECT waiting.place FROM waiting LEFT JOIN told ON true
