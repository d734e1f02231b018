-- $1 queue. The time is read from what the lock gave, so it is read after the lock is held.
WITH locked AS MATERIALIZED (
    SELECT log FROM {limits} WHERE queue = $1 FOR UPDATE
)
SELECT log, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now FROM locked
