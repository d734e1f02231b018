SELECT is_held, holder FROM {+find}($1, $2, $3)
