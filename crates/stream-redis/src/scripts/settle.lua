#!lua flags=allow-oom
-- Ends deliveries in any way. What is added comes before the lease is removed: an error in between, such as a
-- wrong type at a key, leaves the job leased.
-- KEYS: 1 jobs, 2 notes, 3 wake, 4 unique, 5 claims, 6 dead, 7-10 ready, 11-14 leased, 15-18 delayed.
-- ARGV: for each the outcome (done, retry, bury, release), its level, the member of its lease, the wait in
-- microseconds, the error. Answers for each 1, or 0 if it was over.
local call, sub = redis.call, string.sub
local jobs, notes, wake, unique, claims, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local rings = false

-- What is read of a job comes before anything is written: a wrong type shows here.
local function read(id)
    local note, key = call('HGET', notes, id), call('HGET', claims, id)
    local attempts, lost = 0, 0
    if note then
        attempts, lost = struct.unpack('>I4I4', note)
    end
    return {
        attempts = attempts, lost = lost,
        -- The unique key that the job still holds.
        key = key and call('HGET', unique, key) == id and key,
    }
end

local function write(id, attempts, lost, error)
    call('HSET', notes, id, struct.pack('>I4I4', attempts, lost) .. 'e' .. error)
end

local function free_unique(job)
    if job.key then
        call('HDEL', unique, job.key)
    end
end

local function forget(id, job)
    free_unique(job)
    call('HDEL', claims, id)
    call('HDEL', jobs, id)
    call('HDEL', notes, id)
end

local function put_back(level, id, after, push)
    if after == 0 then
        call(push, KEYS[7 + level], id)
        rings = true
        return
    end
    local delayed = KEYS[15 + level]
    call('ZADD', delayed, string.format('%.0f', now + after), id)
    rings = rings or call('ZRANK', delayed, id) == 0
end

local function bury(level, id)
    local last = call('ZRANGE', dead, -1, -1, 'WITHSCORES')[2]
    -- Each burial has a number of its own, in the order of the burials.
    local burial = last and math.max(now, tonumber(last) + 1) or now
    call('ZADD', dead, string.format('%.0f', burial), level .. id)
end

local function settle(outcome, level, member, after, error)
    local leased, id = KEYS[11 + level], sub(member, 1, 16)
    if not call('ZSCORE', leased, member) then
        return 0
    end
    local job = read(id)
    -- A job that was removed by hand under its worker is forgotten, however it ended.
    if outcome == 'done' or call('HEXISTS', jobs, id) == 0 then
        forget(id, job)
    elseif outcome == 'bury' then
        bury(level, id)
        write(id, job.attempts, job.lost, error)
        free_unique(job)
    elseif outcome == 'retry' then
        put_back(level, id, after, 'RPUSH')
        write(id, job.attempts + 1, job.lost, error)
    else
        put_back(level, id, after, 'LPUSH')
    end
    call('ZREM', leased, member)
    return 1
end

local answers = {}
for at = 1, #ARGV, 5 do
    answers[#answers + 1] = settle(ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
end
if rings then
    call('ZADD', wake, 0, '')
end
return answers
