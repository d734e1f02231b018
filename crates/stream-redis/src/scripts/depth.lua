#!lua flags=no-writes
-- KEYS: 4 ready lists, 4 leased, 4 delayed, dead. Answers ready, delayed, reserved, dead.
local call = redis.call
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local ready, delayed, reserved = 0, 0, 0
for level = 1, 4 do
    local ended = call('ZCOUNT', KEYS[4 + level], '-inf', now)
    local due = call('ZCOUNT', KEYS[8 + level], '-inf', now)
    ready = ready + call('LLEN', KEYS[level]) + ended + due
    reserved = reserved + call('ZCARD', KEYS[4 + level]) - ended
    delayed = delayed + call('ZCARD', KEYS[8 + level]) - due
end
return { ready, delayed, reserved, call('ZCARD', KEYS[13]) }
