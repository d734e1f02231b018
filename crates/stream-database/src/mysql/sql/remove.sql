-- Seen first and then locked one by one, as in reserve.sql; what is locked by others is passed over. Answers how many letters went, and the last that was looked at.
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
DELETE dead
FROM JSON_TABLE(@looked, '$[*]' COLUMNS (burial BIGINT PATH '$')) AS looked
STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = looked.burial;
SELECT COALESCE(JSON_LENGTH(@looked), 0) AS count, CAST(@last AS SIGNED) AS last
