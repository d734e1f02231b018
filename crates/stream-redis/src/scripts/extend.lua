#!lua flags=allow-oom
-- Moves the leases of deliveries of one priority.
-- KEYS: 1 leased. ARGV: 1 lease in microseconds, then the members.
-- Answers for each 1, or 0 if it was over.
local call = redis.call
local time = call('TIME')
local ends = string.format('%.0f', time[1] * 1000000 + time[2] + ARGV[1])
local members = {}
for place = 2, #ARGV do
    members[place - 1] = ARGV[place]
end
local current = call('ZMSCORE', KEYS[1], unpack(members))
local answers, moved = {}, {}
for place = 1, #members do
    answers[place] = current[place] and 1 or 0
    if current[place] then
        moved[#moved + 1] = ends
        moved[#moved + 1] = members[place]
    end
end
if moved[1] then
    call('ZADD', KEYS[1], unpack(moved))
end
return answers
