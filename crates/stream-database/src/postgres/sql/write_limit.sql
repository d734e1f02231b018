UPDATE {limits} SET log = $2 WHERE queue = $1
