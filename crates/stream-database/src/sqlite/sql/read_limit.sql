SELECT log FROM {limits} WHERE queue = ?1
