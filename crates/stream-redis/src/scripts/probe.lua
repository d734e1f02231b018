#!lua flags=no-writes
-- When the next job of each queue can be taken.
-- KEYS: for each queue 4 ready lists, 4 leased, 4 delayed.
-- Answers for each the microseconds until then: 0 for now, -1 if there is none.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

local function next_of(at)
    local keys = {}
    for place = 0, 11 do
        keys[place + 1] = KEYS[at + place]
    end
    if call('EXISTS', unpack(keys)) == 0 then
        return -1
    end
    if call('EXISTS', keys[1], keys[2], keys[3], keys[4]) > 0 then
        return 0
    end
    local soonest = math.huge
    for place = 5, 12 do
        local head = call('ZRANGE', keys[place], 0, 0, 'WITHSCORES')
        if head[2] then
            soonest = math.min(soonest, tonumber(head[2]))
        end
    end
    return math.max(0, soonest - now)
end

local answers = {}
for at = 1, #KEYS, 12 do
    answers[#answers + 1] = next_of(at)
end
return answers
