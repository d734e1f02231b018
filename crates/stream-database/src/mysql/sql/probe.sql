-- queues. Microseconds until the first row of each is due, four steps into the index for each: in the order of
-- all columns of the index, or MySQL reads and sorts all that wait.
SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), NULLIF(LEAST(
    COALESCE((
        SELECT job.available_at FROM {jobs} AS job FORCE INDEX (`{name}_fetch`)
        WHERE job.queue = asked.queue AND job.priority = 0 ORDER BY job.queue, job.priority, job.available_at LIMIT 1
    ), '9999-12-31'),
    COALESCE((
        SELECT job.available_at FROM {jobs} AS job FORCE INDEX (`{name}_fetch`)
        WHERE job.queue = asked.queue AND job.priority = 1 ORDER BY job.queue, job.priority, job.available_at LIMIT 1
    ), '9999-12-31'),
    COALESCE((
        SELECT job.available_at FROM {jobs} AS job FORCE INDEX (`{name}_fetch`)
        WHERE job.queue = asked.queue AND job.priority = 2 ORDER BY job.queue, job.priority, job.available_at LIMIT 1
    ), '9999-12-31'),
    COALESCE((
        SELECT job.available_at FROM {jobs} AS job FORCE INDEX (`{name}_fetch`)
        WHERE job.queue = asked.queue AND job.priority = 3 ORDER BY job.queue, job.priority, job.available_at LIMIT 1
    ), '9999-12-31')
), '9999-12-31')) AS until
FROM JSON_TABLE(?, '$[*]' COLUMNS (
    place FOR ORDINALITY,
    queue VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin PATH '$'
)) AS asked
ORDER BY asked.place
