-- Seen first and then locked one by one, as in reserve.sql; what is locked by others is passed over. A letter stays whose id or unique key a job holds, or an earlier
-- one of these letters. Answers how many letters went, and the last that was looked at.
SELECT JSON_ARRAYAGG(burial), MAX(burial) INTO @seen, @last
FROM (
    SELECT burial
    FROM {dead} FORCE INDEX (`{name}_dead_queue`)
    WHERE queue = :queue AND burial > :after AND burial <= :until
    ORDER BY burial
    LIMIT :most
) AS seen;
SELECT JSON_ARRAYAGG(burial) INTO @looked
FROM (
    SELECT dead.burial
    FROM (SELECT burial FROM JSON_TABLE(@seen, '$[*]' COLUMNS (burial BIGINT PATH '$')) AS listed) AS seen
    STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = seen.burial
    LIMIT :most
    FOR UPDATE SKIP LOCKED
) AS locked;
SELECT JSON_ARRAYAGG(burial) INTO @free
FROM (
    SELECT dead.burial,
           ROW_NUMBER() OVER (PARTITION BY dead.id ORDER BY dead.burial) AS of_id,
           ROW_NUMBER() OVER (PARTITION BY dead.unique_key ORDER BY dead.burial) AS of_key,
           dead.unique_key IS NULL AS is_without_key
    FROM JSON_TABLE(@looked, '$[*]' COLUMNS (burial BIGINT PATH '$')) AS looked
    STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = looked.burial
    WHERE NOT EXISTS (SELECT 1 FROM {jobs} AS job WHERE job.id = dead.id AND job.queue = dead.queue)
      AND NOT EXISTS (
          SELECT 1 FROM {jobs} AS job WHERE job.queue = dead.queue AND job.unique_key = dead.unique_key
      )
) AS letter
WHERE of_id = 1 AND (is_without_key OR of_key = 1);
INSERT INTO {jobs} (id, queue, payload, created_at, priority, place, unique_key, last_error)
SELECT dead.id, dead.queue, dead.payload, dead.created_at, dead.priority, free.place, dead.unique_key, dead.error
FROM JSON_TABLE(@free, '$[*]' COLUMNS (place FOR ORDINALITY, burial BIGINT PATH '$')) AS free
STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = free.burial;
DELETE dead
FROM JSON_TABLE(@free, '$[*]' COLUMNS (burial BIGINT PATH '$')) AS free
STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = free.burial;
SELECT COALESCE(JSON_LENGTH(@free), 0) AS count, CAST(@last AS SIGNED) AS last
