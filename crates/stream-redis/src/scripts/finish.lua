#!lua flags=allow-oom
-- Ends deliveries of one priority whose jobs are done and have no unique key.
-- KEYS: 1 jobs, 2 notes, 3 leased. ARGV: the members of the leases.
-- Answers how many if all were current; else for each 1 (done) or 0 (it was over).
local call, sub = redis.call, string.sub
local leased = KEYS[3]
local ids, answers = {}, {}
for place = 1, #ARGV do
    -- One by one: a single call for all would not say which were current.
    answers[place] = call('ZREM', leased, ARGV[place])
    if answers[place] == 1 then
        ids[#ids + 1] = sub(ARGV[place], 1, 16)
    end
end
if ids[1] then
    call('HDEL', KEYS[1], unpack(ids))
    if call('EXISTS', KEYS[2]) == 1 then
        call('HDEL', KEYS[2], unpack(ids))
    end
end
return #ids == #ARGV and #ids or answers
