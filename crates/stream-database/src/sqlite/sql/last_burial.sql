SELECT max(burial) FROM {dead} WHERE queue = ?1
