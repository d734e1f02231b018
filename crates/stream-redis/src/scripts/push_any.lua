#!lua
-- Stores jobs of any kind.
-- KEYS: 1 jobs, 2 wake, 3 unique, 4 claims, 5-8 ready, 9-12 delayed.
-- ARGV: for each job its id, its bytes, its level from 0 to 3, its delay in microseconds, its unique key or ''.
-- Answers for each 0 (stored), 1 (was there), or the id of the job that holds the unique key.
local call = redis.call
local jobs, wake, unique, claims = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}

local function holder(key)
    local id = key ~= '' and call('HGET', unique, key)
    -- A claim whose job was removed by hand is nobody's.
    return id and call('HEXISTS', jobs, id) == 1 and id
end

local function store(at)
    local id, level, delay, key = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
    if call('HEXISTS', jobs, id) == 1 then
        return 1
    end
    local other = holder(key)
    if other then
        return other
    end
    local rings = true
    if delay > 0 then
        local delayed = KEYS[9 + level]
        call('ZADD', delayed, string.format('%.0f', now + delay), id)
        -- Who waits has to know only if this is the next to be due.
        rings = call('ZRANK', delayed, id) == 0
    else
        call('RPUSH', KEYS[5 + level], id)
    end
    if key ~= '' then
        call('HSET', unique, key, id)
        call('HSET', claims, id, key)
    end
    call('HSET', jobs, id, ARGV[at + 1])
    if rings then
        call('ZADD', wake, 0, '')
    end
    return 0
end

for at = 1, #ARGV, 5 do
    answers[#answers + 1] = store(at)
end
return answers
