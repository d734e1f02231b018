-- Takes jobs: a range of the index for each priority, entered in order and left as soon as there is enough.
-- Taken once (MATERIALIZED), or a planner could look again and take more rows than it returns. Their place in the
-- table is known then, so that no index has to be asked for it again.
-- A mark is the due time before which nothing is expected, for each priority; null for none.
-- The commit is not awaited on disk: a crash that undoes it makes the rows be taken again.
CREATE OR REPLACE FUNCTION {+reserve}(
    from_queue text, most bigint, lease bigint, fence bigint, marks bigint[]
)
RETURNS TABLE (
    id uuid, payload bytea, attempts integer, lost integer, last_error bytea, priority smallint, due bigint,
    place smallint
)
LANGUAGE plpgsql
SET enable_seqscan TO off
SET enable_bitmapscan TO off
SET enable_hashjoin TO off
SET enable_mergejoin TO off
SET plan_cache_mode TO force_generic_plan
SET jit TO off
SET enable_sort TO off
AS $body$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    WITH taken AS MATERIALIZED (
        SELECT due.at, due.available_at
        FROM (VALUES (0::smallint, marks[1]), (1::smallint, marks[2]), (2::smallint, marks[3]), (3::smallint, marks[4]))
             AS level (priority, mark)
        CROSS JOIN LATERAL (
            SELECT job.ctid AS at, job.available_at
            FROM {jobs} AS job
            WHERE job.queue = from_queue AND job.priority = level.priority
              AND job.available_at >= coalesce('epoch'::timestamptz + level.mark * interval '1 microsecond', '-infinity')
              AND job.available_at <= statement_timestamp()
            ORDER BY job.available_at, job.place
            LIMIT most
            FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT most
    )
    UPDATE {jobs} AS job
    SET reserved_at = statement_timestamp(),
        available_at = statement_timestamp() + lease * interval '1 microsecond',
        lost = job.lost + (job.reserved_at IS NOT NULL)::integer,
        token = fence
    FROM taken
    WHERE job.ctid = taken.at
    RETURNING job.id, job.payload, job.attempts, job.lost, job.last_error, job.priority,
              (extract(epoch FROM taken.available_at) * 1000000)::bigint, job.place;
END $body$;
