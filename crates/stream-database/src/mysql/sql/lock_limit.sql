-- The time is read by a statement of its own: by the same it would be the time before the wait.
SELECT log FROM {limits} WHERE queue = :queue FOR UPDATE;
SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) AS now
