SELECT {+bury}($1, $2, $3, $4)
