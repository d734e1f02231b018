#!lua
-- Makes dead letters jobs again, ready now, with attempts and losses 0 and their last error.
-- KEYS: 1 jobs, 2 notes, 3 wake, 4 unique, 5 claims, 6 dead, 7-10 ready.
-- ARGV: 1 and 2 the range of burial numbers, 3 most letters, 4 the id that is meant or ''.
-- Answers: 1 how many, 2 the number that was looked at last, if any.
local call, sub = redis.call, string.sub
local jobs, notes, wake, unique, claims, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local found = call('ZRANGE', dead, ARGV[1], ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
local count = 0

-- Takes the unique key back; false if a waiting job holds it.
local function claim(id)
    local key = call('HGET', claims, id)
    if not key then
        return true
    end
    local holder = call('HGET', unique, key)
    if holder and holder ~= id and call('HEXISTS', jobs, holder) == 1 then
        return false
    end
    call('HSET', unique, key, id)
    return true
end

for at = 1, #found, 2 do
    local level, id = sub(found[at], 1, 1), sub(found[at], 2)
    local is_meant = ARGV[4] == '' or ARGV[4] == id
    local note = call('HGET', notes, id)
    if is_meant and call('HEXISTS', jobs, id) == 0 then
        -- Its job was removed by hand: there is nothing to be made ready.
        call('ZREM', dead, found[at])
        call('HDEL', notes, id)
        call('HDEL', claims, id)
    elseif is_meant and claim(id) then
        call('RPUSH', KEYS[7 + level], id)
        call('HSET', notes, id, struct.pack('>I4I4', 0, 0) .. (note and sub(note, 9) or ''))
        call('ZREM', dead, found[at])
        count = count + 1
    end
end
if count > 0 then
    call('ZADD', wake, 0, '')
end
return { count, found[#found] }
