SELECT count, last FROM {+revive}($1, $2, $3, $4, $5)
