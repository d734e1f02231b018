-- $1 queue, $2 id, $3 token. Returns the number of the transaction, if the delivery was current.
DELETE FROM {jobs} WHERE id = $2 AND queue = $1 AND token = $3
RETURNING txid_current()
