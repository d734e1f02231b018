-- $1 numbers of transactions. For each: whether it was committed. The server forgets after a while; who is asked
-- about is gone from the table, and of one so old nobody else is left to have ended it.
SELECT coalesce(txid_status(asked.number) = 'committed', true)
FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (number, place)
ORDER BY asked.place
