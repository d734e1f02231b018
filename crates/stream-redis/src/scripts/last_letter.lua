#!lua flags=no-writes
-- KEYS: 1 dead. Answers the number of the last burial, or nothing.
return redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
