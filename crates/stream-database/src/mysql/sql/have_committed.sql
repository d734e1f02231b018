-- tickets. For each: whether its transaction was committed.
SELECT EXISTS (SELECT 1 FROM {done} AS done WHERE done.ticket = asked.ticket)
FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, ticket BIGINT PATH '$')) AS asked
ORDER BY asked.place
