#!lua flags=allow-oom
-- Removes dead letters for good.
-- KEYS: 1 jobs, 2 notes, 3 claims, 4 dead.
-- ARGV: 1 and 2 the range of burial numbers, 3 most letters, 4 the id that is meant or ''.
-- Answers: 1 how many, 2 the number that was looked at last, if any.
local call, sub = redis.call, string.sub
local found = call('ZRANGE', KEYS[4], ARGV[1], ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
local count = 0
for at = 1, #found, 2 do
    local id = sub(found[at], 2)
    if ARGV[4] == '' or ARGV[4] == id then
        call('HDEL', KEYS[1], id)
        call('HDEL', KEYS[2], id)
        call('HDEL', KEYS[3], id)
        call('ZREM', KEYS[4], found[at])
        count = count + 1
    end
end
return { count, found[#found] }
