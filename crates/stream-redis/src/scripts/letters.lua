#!lua flags=no-writes
-- Lists dead letters by the numbers of their burials.
-- KEYS: 1 jobs, 2 notes, 3 dead. ARGV: 1 after which number, 2 most letters.
-- Answers: 1 how many, 2 members and numbers by turns, 3 bytes, 4 notes.
local call, sub = redis.call, string.sub
local found = call('ZRANGE', KEYS[3], '(' .. ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
local ids = {}
for at = 1, #found, 2 do
    ids[#ids + 1] = sub(found[at], 2)
end
if not ids[1] then
    return { 0, {}, {}, {} }
end
return { #ids, found, call('HMGET', KEYS[1], unpack(ids)), call('HMGET', KEYS[2], unpack(ids)) }
