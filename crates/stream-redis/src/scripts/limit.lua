-- The rate limit: a log of takes, one member of `takes` for each step in which some were made. A member reads
-- "before total first shortest longest": takes ever before it, takes ever with it, the time of its first take,
-- the shortest and the longest window that were named so far. Its score is the time of its last take, when all
-- of its takes are counted. Times are microseconds. A token bucket would let twice the limit through.
local takes, limit, window = KEYS[16], tonumber(ARGV[4]), tonumber(ARGV[5])
-- Takes within a hundredth of the shortest window are one member.
local STEPS = 100
-- With more members than this the oldest are merged in pairs: each then counts for longer.
local MEMBERS_MAX = 512

local function digits(number)
    return string.format('%.0f', number)
end

local function read(member)
    local before, total, first, shortest, longest = string.match(member, '(%d+) (%d+) (%d+) (%d+) (%d+)')
    return {
        text = member, before = tonumber(before), total = tonumber(total), first = tonumber(first),
        shortest = tonumber(shortest), longest = tonumber(longest),
    }
end

local function write(entry, last)
    local member = digits(entry.before) .. ' ' .. digits(entry.total) .. ' ' .. digits(entry.first) .. ' '
        .. digits(entry.shortest) .. ' ' .. digits(entry.longest)
    redis.call('ZADD', takes, digits(last), member)
end

-- The newest entry, and the time of a take: now, but never earlier than what was taken before.
local function newest(now)
    local found = redis.call('ZRANGE', takes, -1, -1, 'WITHSCORES')
    if not found[1] then
        return nil, now
    end
    return read(found[1]), math.max(now, tonumber(found[2]))
end

local function in_window(now, count)
    local after = '(' .. digits(now - window)
    return redis.call('ZRANGE', takes, after, '+inf', 'BYSCORE', 'LIMIT', 0, count, 'WITHSCORES')
end

-- How many more jobs may be taken; a take counts until a whole window has passed.
local function permits(now)
    local last, at = newest(now)
    local oldest = last and in_window(at, 1)[1]
    local used = oldest and last.total - read(oldest).before or 0
    return math.max(0, limit - used)
end

-- How long until a permit may be free, if there is none.
local function wait(now)
    local last, at = newest(now)
    local entries = in_window(at, MEMBERS_MAX + 1)
    for place = 1, #entries, 2 do
        -- Once this one is out of the window, what is younger leaves room.
        if last.total - read(entries[place]).total < limit then
            return math.max(1, tonumber(entries[place + 1]) + window - at)
        end
    end
    return 0
end

local function shorten()
    local entries = redis.call('ZRANGE', takes, 0, MEMBERS_MAX / 2 - 1, 'WITHSCORES')
    for place = 1, #entries - 3, 4 do
        local older, younger = read(entries[place]), read(entries[place + 2])
        redis.call('ZREM', takes, older.text, younger.text)
        younger.before, younger.first = older.before, older.first
        write(younger, tonumber(entries[place + 3]))
    end
end

local function note(taken, now)
    local last, at = newest(now)
    local shortest = math.min(last and last.shortest or window, window)
    local longest = math.max(last and last.longest or window, window)
    local entry = { before = 0, total = taken, first = at, shortest = shortest, longest = longest }
    if last and last.first + shortest / STEPS >= at then
        redis.call('ZREM', takes, last.text)
        entry.before, entry.total, entry.first = last.before, last.total + taken, last.first
    elseif last then
        entry.before, entry.total = last.total, last.total + taken
    end
    write(entry, at)
    redis.call('ZREMRANGEBYSCORE', takes, '-inf', digits(at - longest))
    redis.call('PEXPIRE', takes, digits(longest / 1000 + 1000))
    if redis.call('ZCARD', takes) > MEMBERS_MAX then
        shorten()
    end
end
