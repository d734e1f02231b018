-- $1 queue, $2 id, $3 token. Whether the delivery was current, and the number of the transaction.
SELECT {+finish}($1, ARRAY[$2::uuid], ARRAY[$3::bigint]) = '{}', txid_current()
