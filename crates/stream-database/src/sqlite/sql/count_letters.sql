SELECT count(*) FROM {dead} WHERE queue = ?1
