-- The columns of the origin first: available_at is when a row may be taken. A reserved row has the end of
-- its lease there, so that ended leases come back by themselves and by the same index. All times are UTC.
CREATE TABLE IF NOT EXISTS {jobs} (
    id BINARY(16) NOT NULL,
    queue VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload LONGBLOB NOT NULL,
    -- Deliveries that ended with a retry.
    attempts INT NOT NULL DEFAULT 0,
    reserved_at DATETIME(6),
    available_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    -- 0 critical, 1 high, 2 default, 3 low.
    priority TINYINT NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 3),
    -- The order within one push.
    place SMALLINT NOT NULL DEFAULT 0,
    -- Deliveries that ended with no outcome.
    lost INT NOT NULL DEFAULT 0,
    -- The fence of the current delivery.
    token BIGINT,
    -- When a reserved row was due: nothing returns the rows of an update, and so their order is kept here.
    due_at DATETIME(6),
    -- Bytes and not text, since both may hold anything.
    unique_key VARBINARY(255),
    last_error MEDIUMBLOB,
    -- A job is the pair of both; the id first, since it alone tells nearly all rows apart.
    PRIMARY KEY (id, queue),
    KEY `{name}_fetch` (queue, priority, available_at, place),
    UNIQUE KEY `{name}_unique` (queue, unique_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
-- Dead letters are apart, so that no reserve passes over them. The number of a burial names the letter.
CREATE TABLE IF NOT EXISTS {dead} (
    burial BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id BINARY(16) NOT NULL,
    queue VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload LONGBLOB NOT NULL,
    attempts INT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    buried_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    priority TINYINT NOT NULL,
    lost INT NOT NULL,
    unique_key VARBINARY(255),
    error MEDIUMBLOB NOT NULL,
    KEY `{name}_dead_queue` (queue, burial),
    KEY `{name}_dead_id` (id, queue)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
-- One row for each queue that was reserved under a rate limit: the log of its takes.
CREATE TABLE IF NOT EXISTS {limits} (
    queue VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    log MEDIUMBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
-- One row for each delivery that was ended in a transaction of the program: it is there if that was committed.
CREATE TABLE IF NOT EXISTS {done} (
    ticket BIGINT NOT NULL PRIMARY KEY,
    ended_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    KEY `{name}_done_ended_at` (ended_at)
) ENGINE = InnoDB;
