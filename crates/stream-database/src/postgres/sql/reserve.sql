SELECT id, payload, attempts, lost, last_error, priority, due, place FROM {+reserve}($1, $2, $3, $4, $5)
