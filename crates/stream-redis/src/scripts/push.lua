#!lua
-- Stores jobs of one priority that are due now and have no unique key.
-- KEYS: 1 jobs, 2 ready list of the priority, 3 wake. ARGV: for each job its id and its bytes.
-- Answers how many are new if all are; else for each 0 (stored) or 1 (was there).
local call = redis.call
local jobs, ready = KEYS[1], KEYS[2]
local ids = {}
for at = 1, #ARGV, 2 do
    ids[#ids + 1] = ARGV[at]
end
local there = call('HMGET', jobs, unpack(ids))
local known = false
for at = 1, #ids do
    if there[at] then
        known = true
        break
    end
end
if not known then
    -- The list first: if it is of a wrong type nothing has been written yet.
    call('RPUSH', ready, unpack(ids))
    call('HSET', jobs, unpack(ARGV))
    call('ZADD', KEYS[3], 0, '')
    return #ids
end
local answers = {}
for at = 1, #ids do
    answers[at] = 1
    if not there[at] then
        answers[at] = 0
        call('RPUSH', ready, ids[at])
        call('HSET', jobs, ids[at], ARGV[2 * at])
        call('ZADD', KEYS[3], 0, '')
    end
end
return answers
