-- ?1 queue, ?2 now. One statement, and so one moment. Only what is not due is read from the table itself.
SELECT (SELECT count(*) FROM {jobs} WHERE queue = ?1 AND available_at <= ?2) AS ready,
       (SELECT count(*) FROM {jobs} WHERE queue = ?1 AND available_at > ?2) AS later,
       (SELECT count(*) FROM {jobs} WHERE queue = ?1 AND available_at > ?2 AND reserved_at IS NOT NULL) AS reserved,
       (SELECT count(*) FROM {dead} WHERE queue = ?1) AS dead
