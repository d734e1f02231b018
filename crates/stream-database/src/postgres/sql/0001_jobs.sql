-- The columns of the origin first: available_at is when a row may be taken. A reserved row has the end of
-- its lease there, so that ended leases come back by themselves and by the same index.
CREATE TABLE {jobs} (
    id uuid NOT NULL,
    queue text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    -- Deliveries that ended with a retry.
    attempts integer NOT NULL DEFAULT 0,
    reserved_at timestamptz,
    available_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- 0 critical, 1 high, 2 default, 3 low.
    priority smallint NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 3),
    -- The order within one push.
    place smallint NOT NULL DEFAULT 0,
    -- Deliveries that ended with no outcome.
    lost integer NOT NULL DEFAULT 0,
    -- The fence of the current delivery.
    token bigint,
    -- Bytes and not text, since both may hold NUL.
    unique_key bytea,
    last_error bytea,
    -- A job is the pair of both; the id first, since it alone tells nearly all rows apart.
    PRIMARY KEY (id, queue)
) WITH (
    -- Rows live short: vacuum has to follow the number of changes, not the size of the table.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX "{name}_fetch" ON {jobs} (queue, priority, available_at, place);
CREATE UNIQUE INDEX "{name}_unique" ON {jobs} (unique_key, queue) WHERE unique_key IS NOT NULL;
-- Dead letters are apart, so that no reserve passes over them. The number of a burial names the letter.
CREATE TABLE {dead} (
    id uuid NOT NULL,
    queue text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    buried_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    priority smallint NOT NULL,
    lost integer NOT NULL,
    unique_key bytea,
    error bytea NOT NULL,
    burial bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (queue, burial)
);
CREATE INDEX "{name}_dead_id" ON {dead} (id, queue);
-- One row for each queue that was reserved under a rate limit: the log of its takes.
CREATE TABLE {limits} (
    queue text COLLATE "C" PRIMARY KEY,
    log bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);
