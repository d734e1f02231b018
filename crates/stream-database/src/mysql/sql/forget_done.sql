-- Who asks after a day is told that the lease is lost.
DELETE FROM {done} WHERE ended_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY LIMIT 1000
