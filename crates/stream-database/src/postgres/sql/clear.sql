-- $1 queue, $2 most rows.
WITH waiting AS MATERIALIZED (
    SELECT id
    FROM {jobs}
    WHERE queue = $1 AND (reserved_at IS NULL OR available_at <= statement_timestamp())
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
DELETE FROM {jobs} AS job USING waiting WHERE job.id = waiting.id AND job.queue = $1
