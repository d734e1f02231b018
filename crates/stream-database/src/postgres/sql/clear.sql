SELECT {+clear}($1, $2)
