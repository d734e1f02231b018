-- Takes jobs: of each priority first those whose lease has ended, then the ready ones.
-- KEYS: 1 jobs, 2 notes, 3 wake, 4-7 ready, 8-11 leased, 12-15 delayed, 16 takes (with a limit only).
-- ARGV: 1 most jobs, 2 lease in microseconds, 3 token; with a limit: 4 limit, 5 window in microseconds.
-- Answers: 1 how many, 2 how many of each priority, 3 their ids, 4 their bytes, 5 their notes or an empty list,
-- 6 with a limit: microseconds until a permit may be free, 0 if there is one.
local call, sub = redis.call, string.sub
local jobs, notes, wake, token = KEYS[1], KEYS[2], KEYS[3], ARGV[3]
-- Due jobs that one call moves at most, so that it stays short.
local MOVED_MAX = 250
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local now_text = string.format('%.0f', now)
local ends = string.format('%.0f', now + ARGV[2])
local want = tonumber(ARGV[1])
if limit then
    want = math.min(want, permits(now))
end
local ids, counts = {}, { 0, 0, 0, 0 }
local left_behind = false

-- Counts the loss of a job whose lease has ended.
local function lose(id)
    local note = call('HGET', notes, id)
    local attempts, lost, error = 0, 0, ''
    if note then
        attempts, lost = struct.unpack('>I4I4', note)
        error = sub(note, 9)
    end
    call('HSET', notes, id, struct.pack('>I4I4', attempts, lost + 1) .. error)
end

local function take(level, room)
    local ready, leased, delayed = KEYS[4 + level], KEYS[8 + level], KEYS[12 + level]
    local due = call('ZRANGE', delayed, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, MOVED_MAX)
    if due[1] then
        call('RPUSH', ready, unpack(due))
        call('ZREM', delayed, unpack(due))
    end
    local fresh = {}
    local ended = call('ZRANGE', leased, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, room)
    for place = 1, #ended do
        local id = sub(ended[place], 1, 16)
        lose(id)
        fresh[2 * place - 1], fresh[2 * place] = ends, id .. token
        ids[#ids + 1] = id
    end
    local got = #ended
    if got > 0 then
        call('ZREM', leased, unpack(ended))
        left_behind = left_behind or got == room
    end
    local popped = got < room and call('LPOP', ready, room - got)
    if popped then
        for place = 1, #popped do
            local id = popped[place]
            fresh[#fresh + 1] = ends
            fresh[#fresh + 1] = id .. token
            ids[#ids + 1] = id
        end
        got = got + #popped
    end
    if got > 0 then
        call('ZADD', leased, unpack(fresh))
    end
    counts[level + 1] = got
    return got
end

local first = 0
-- Most queues know no urgent jobs: one question instead of six.
if call('EXISTS', KEYS[4], KEYS[5], KEYS[8], KEYS[9], KEYS[12], KEYS[13]) == 0 then
    first = 2
end
local room = want
for level = first, 3 do
    if room > 0 then
        room = room - take(level, room)
    end
end

-- Drops ids without a job: it was removed by hand.
local function without_missing(found)
    local kept_ids, kept, place = {}, {}, 0
    for level = 0, 3 do
        for _ = 1, counts[level + 1] do
            place = place + 1
            if found[place] then
                kept_ids[#kept_ids + 1], kept[#kept + 1] = ids[place], found[place]
            else
                call('ZREM', KEYS[8 + level], ids[place] .. token)
                call('HDEL', notes, ids[place])
                counts[level + 1] = counts[level + 1] - 1
            end
        end
    end
    ids = kept_ids
    return kept
end

local found, noted = {}, {}
if #ids > 0 then
    found = call('HMGET', jobs, unpack(ids))
    for place = 1, #ids do
        if not found[place] then
            found = without_missing(found)
            break
        end
    end
end
if #ids > 0 and call('EXISTS', notes) == 1 then
    noted = call('HMGET', notes, unpack(ids))
end
-- Somebody else may take what is left: the mark that this taker followed may be gone.
if room == 0 and (left_behind or call('EXISTS', KEYS[4], KEYS[5], KEYS[6], KEYS[7]) > 0) then
    call('ZADD', wake, 0, '')
end
local until_permit = 0
if limit then
    if #ids > 0 then
        note(#ids, now)
    end
    if permits(now) == 0 then
        until_permit = wait(now)
    end
end
return { #ids, counts, ids, found, noted, until_permit }
