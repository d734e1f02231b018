#!lua flags=allow-oom
-- Ends deliveries of one priority whose jobs are done and have no unique key.
-- KEYS: 1 jobs, 2 notes, 3 leased. ARGV: the members of the leases.
-- Answers how many if all were current; else for each 1 (done) or 0 (it was over).
local call, sub = redis.call, string.sub
local jobs, notes, leased = KEYS[1], KEYS[2], KEYS[3]
if not ARGV[2] then
    local id = sub(ARGV[1], 1, 16)
    if call('ZREM', leased, ARGV[1]) == 0 then
        return { 0 }
    end
    call('HDEL', jobs, id)
    call('HDEL', notes, id)
    return 1
end
local current = call('ZMSCORE', leased, unpack(ARGV))
local ids, all = {}, true
for place = 1, #ARGV do
    if current[place] then
        ids[#ids + 1] = sub(ARGV[place], 1, 16)
    else
        all = false
    end
end
local ended = call('ZREM', leased, unpack(ARGV))
if ended > 0 then
    call('HDEL', jobs, unpack(ids))
    call('HDEL', notes, unpack(ids))
end
if all and ended == #ARGV then
    return ended
end
-- A member that comes twice ends one delivery.
local answers, seen = {}, {}
for place = 1, #ARGV do
    answers[place] = current[place] and not seen[ARGV[place]] and 1 or 0
    seen[ARGV[place]] = true
end
return answers
