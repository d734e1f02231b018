SELECT {+probe}($1)
