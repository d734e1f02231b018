SELECT count(*) FILTER (WHERE available_at <= statement_timestamp()) AS ready,
       count(*) FILTER (WHERE available_at > statement_timestamp() AND reserved_at IS NULL) AS delayed,
       count(*) FILTER (WHERE available_at > statement_timestamp() AND reserved_at IS NOT NULL) AS reserved,
       (SELECT count(*) FROM {dead} WHERE queue = $1) AS dead
FROM {jobs}
WHERE queue = $1
