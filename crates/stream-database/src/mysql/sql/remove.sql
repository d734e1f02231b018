-- burials.
DELETE dead
FROM JSON_TABLE(?, '$[*]' COLUMNS (burial BIGINT PATH '$')) AS asked
STRAIGHT_JOIN {dead} AS dead FORCE INDEX (PRIMARY) ON dead.burial = asked.burial
