SELECT COUNT(*) FROM {dead} WHERE queue = ?
