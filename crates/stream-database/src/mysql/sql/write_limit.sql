UPDATE {limits} SET log = ? WHERE queue = ?
