SELECT count, last FROM {+remove}($1, $2, $3, $4)
