SELECT burial, id, payload, attempts, lost, error FROM {+letters}($1, $2, $3)
