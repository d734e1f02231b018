-- $1 queue, $2 ids, $3 tokens. Returns the places of those that were current.
DELETE FROM {jobs} AS job
USING unnest($2::uuid[], $3::bigint[]) WITH ORDINALITY AS ended (id, token, place)
WHERE job.id = ended.id AND job.queue = $1 AND job.token = ended.token
RETURNING ended.place
