SELECT place, is_current FROM {+extend}($1, $2, $3, $4)
