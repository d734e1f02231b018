-- ?1 queue, ?2 ids in a row, ?3 for each [token, wait, error in hex or null for a release], ?4 now.
-- Returns the ids of those that were current. They are gathered first (MATERIALIZED), or a planner could go
-- through the whole table for them.
WITH ended AS MATERIALIZED (
    SELECT current.place, ended.value ->> 1 AS wait, unhex(ended.value ->> 2) AS error
    FROM json_each(?3) AS ended
    CROSS JOIN {jobs} AS current INDEXED BY "{name}_id"
    WHERE current.id = substr(?2, 16 * ended.key + 1, 16) AND current.queue = ?1
      AND current.token = ended.value ->> 0
)
UPDATE {jobs} AS job
SET reserved_at = NULL,
    due_at = NULL,
    token = NULL,
    available_at = ?4 + ended.wait,
    attempts = job.attempts + (ended.error IS NOT NULL),
    last_error = coalesce(ended.error, job.last_error)
FROM ended
WHERE job.place = ended.place
RETURNING id
