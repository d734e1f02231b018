SELECT MAX(burial) FROM {dead} WHERE queue = ?
