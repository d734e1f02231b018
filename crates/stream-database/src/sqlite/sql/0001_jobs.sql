-- The columns of the origin first. All times are microseconds since 1970 of the machine's clock.
-- available_at is when a row may be taken. A reserved row has the end of its lease there, so that ended
-- leases come back by themselves and by the same index.
CREATE TABLE {jobs} (
    -- The order of the pushes: a new row gets a larger number than all that are there.
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    queue TEXT NOT NULL,
    -- Deliveries that ended with a retry.
    attempts INTEGER NOT NULL DEFAULT 0,
    reserved_at INTEGER,
    available_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    -- 0 critical, 1 high, 2 default, 3 low.
    priority INTEGER NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 3),
    -- Deliveries that ended with no outcome.
    lost INTEGER NOT NULL DEFAULT 0,
    -- The fence of the current delivery.
    token INTEGER,
    -- What available_at was when the row was taken, since that orders what a reserve returns.
    due_at INTEGER,
    -- Bytes and not text, since both may hold NUL.
    unique_key BLOB,
    last_error BLOB,
    -- The last, so that nobody reads over it to reach another column.
    payload BLOB NOT NULL
);
CREATE UNIQUE INDEX "{name}_id" ON {jobs} (id, queue);
CREATE INDEX "{name}_fetch" ON {jobs} (queue, priority, available_at);
CREATE UNIQUE INDEX "{name}_unique" ON {jobs} (queue, unique_key) WHERE unique_key IS NOT NULL;
-- Dead letters are apart, so that no reserve passes over them. The number of a burial names the letter, and
-- never comes again.
CREATE TABLE {dead} (
    burial INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    queue TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    buried_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    unique_key BLOB,
    error BLOB NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX "{name}_dead_id" ON {dead} (id, queue);
CREATE INDEX "{name}_dead_queue" ON {dead} (queue);
-- One row for each queue that was reserved under a rate limit: the log of its takes.
CREATE TABLE {limits} (
    queue TEXT PRIMARY KEY,
    log BLOB NOT NULL
) WITHOUT ROWID;
-- A row for each delivery that was ended in a transaction of the program, for an hour.
CREATE TABLE "{name}_completed" (
    ticket INTEGER PRIMARY KEY
);
