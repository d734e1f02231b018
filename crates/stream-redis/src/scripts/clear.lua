#!lua flags=allow-oom
-- Removes jobs that wait, those whose lease has ended among them.
-- KEYS: 1 jobs, 2 notes, 3 unique, 4 claims, 5-8 ready, 9-12 leased, 13-16 delayed. ARGV: 1 most jobs.
-- Answers how many; fewer than the most means that there are no more.
local call, sub = redis.call, string.sub
local jobs, notes, unique, claims = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local room, removed = tonumber(ARGV[1]), {}

local function remember(members)
    for place = 1, #members do
        removed[#removed + 1] = sub(members[place], 1, 16)
    end
    room = room - #members
end

for level = 0, 3 do
    local popped = room > 0 and call('LPOP', KEYS[5 + level], room)
    if popped then
        remember(popped)
    end
    local ended = room > 0 and call('ZRANGE', KEYS[9 + level], '-inf', now, 'BYSCORE', 'LIMIT', 0, room) or {}
    if ended[1] then
        call('ZREM', KEYS[9 + level], unpack(ended))
        remember(ended)
    end
    local delayed = room > 0 and call('ZRANGE', KEYS[13 + level], 0, room - 1) or {}
    if delayed[1] then
        call('ZREM', KEYS[13 + level], unpack(delayed))
        remember(delayed)
    end
end
if removed[1] then
    if call('EXISTS', claims) == 1 then
        local keys = call('HMGET', claims, unpack(removed))
        for place = 1, #removed do
            if keys[place] and call('HGET', unique, keys[place]) == removed[place] then
                call('HDEL', unique, keys[place])
            end
        end
        call('HDEL', claims, unpack(removed))
    end
    call('HDEL', jobs, unpack(removed))
    call('HDEL', notes, unpack(removed))
end
return #removed
