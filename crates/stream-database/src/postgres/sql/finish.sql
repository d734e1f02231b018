SELECT {+finish}($1, $2, $3)
