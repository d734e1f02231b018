-- Takes jobs: of each priority first those whose lease has ended, then the ready ones.
-- KEYS: 1 jobs, 2 notes, 3 wake, 4-7 ready, 8-11 leased, 12-15 delayed, 16 takes (with a limit only).
-- ARGV: 1 most jobs, 2 lease in microseconds, 3 token; with a limit: 4 limit, 5 window in microseconds.
-- Answers a list: how many of each priority, as digits of a number to the base 1024, the most urgent first; with
-- a limit the microseconds until a permit may be free, else 0; then of each job its id and its bytes, and its notes
-- as well unless none has any. If there are no jobs only those microseconds, as a negative number.
-- Numbers go to the server as text where they can: it writes others with 17 digits, which takes long.
local call, sub = redis.call, string.sub
local jobs, notes, wake, token = KEYS[1], KEYS[2], KEYS[3], ARGV[3]
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
-- Most queues have one priority, nothing delayed and nothing noted: one question instead of many.
local is_plain = call('EXISTS', notes, KEYS[4], KEYS[5], KEYS[7], KEYS[8], KEYS[9], KEYS[11],
    KEYS[12], KEYS[13], KEYS[14], KEYS[15]) == 0

-- Moves jobs that are due: some of them, so that it does not take long.
local function move_due(ready, delayed)
    local due = call('ZRANGE', delayed, '-inf', now_text, 'BYSCORE', 'LIMIT', '0', '250')
    if due[1] then
        call('RPUSH', ready, unpack(due))
        call('ZREM', delayed, unpack(due))
    end
end

-- Takes back jobs whose lease has ended, each with one loss more.
local function take_back(ended, fresh)
    is_plain = false
    for place = 1, #ended do
        local id = sub(ended[place], 1, 16)
        local note = call('HGET', notes, id)
        local attempts, lost, error = 0, 0, ''
        if note then
            attempts, lost = struct.unpack('>I4I4', note)
            error = sub(note, 9)
        end
        call('HSET', notes, id, struct.pack('>I4I4', attempts, lost + 1) .. error)
        fresh[2 * place - 1], fresh[2 * place] = ends, id .. token
        ids[#ids + 1] = id
    end
end

local function take(level, room)
    local ready, leased = KEYS[4 + level], KEYS[8 + level]
    if not is_plain then
        move_due(ready, KEYS[12 + level])
    end
    local fresh = {}
    local ended = call('ZRANGE', leased, '-inf', now_text, 'BYSCORE', 'LIMIT', '0', tostring(room))
    local got = #ended
    if got > 0 then
        take_back(ended, fresh)
        call('ZREM', leased, unpack(ended))
        left_behind = left_behind or got == room
    end
    local popped = got < room and call('LPOP', ready, tostring(room - got))
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

local room = want
if is_plain then
    room = room > 0 and room - take(2, room) or 0
else
    for level = 0, 3 do
        if room > 0 then
            room = room - take(level, room)
        end
    end
end

local found = ids[1] and call('HMGET', jobs, unpack(ids)) or {}
for place = 1, #ids do
    if not found[place] then
        -- Ids without a job are dropped: it was removed by hand.
        local kept_ids, kept, at = {}, {}, 0
        for level = 0, 3 do
            for _ = 1, counts[level + 1] do
                at = at + 1
                if found[at] then
                    kept_ids[#kept_ids + 1], kept[#kept + 1] = ids[at], found[at]
                else
                    call('ZREM', KEYS[8 + level], ids[at] .. token)
                    call('HDEL', notes, ids[at])
                    counts[level + 1] = counts[level + 1] - 1
                end
            end
        end
        ids, found = kept_ids, kept
        break
    end
end
-- Somebody else may take what is left: the mark that this taker followed may be gone.
if room == 0 and (left_behind or call('EXISTS', KEYS[4], KEYS[5], KEYS[6], KEYS[7]) > 0) then
    call('ZADD', wake, '0', '')
end
local until_permit = 0
if limit then
    if ids[1] then
        note(#ids, now)
    end
    if permits(now) == 0 then
        until_permit = wait(now)
    end
end
if not ids[1] then
    return -until_permit
end
local taken = ((counts[1] * 1024 + counts[2]) * 1024 + counts[3]) * 1024 + counts[4]
-- One flat list: each list in a list costs the server as much as ten items.
local answer, at = { taken, until_permit }, 2
if is_plain then
    for place = 1, #ids do
        answer[at + 1], answer[at + 2] = ids[place], found[place]
        at = at + 2
    end
    return answer
end
local noted = call('HMGET', notes, unpack(ids))
for place = 1, #ids do
    answer[at + 1], answer[at + 2], answer[at + 3] = ids[place], found[place], noted[place]
    at = at + 3
end
return answer
