-- Nothing is done: a statement is explained only to who may run it.
EXPLAIN SELECT 1 FROM {jobs} WHERE queue = '';
EXPLAIN INSERT INTO {jobs} (queue) VALUES ('');
EXPLAIN UPDATE {jobs} SET place = 0 WHERE queue = '';
EXPLAIN DELETE FROM {jobs} WHERE queue = '';
EXPLAIN SELECT 1 FROM {dead} WHERE queue = '';
EXPLAIN INSERT INTO {dead} (queue) VALUES ('');
EXPLAIN UPDATE {dead} SET lost = 0 WHERE queue = '';
EXPLAIN DELETE FROM {dead} WHERE queue = '';
EXPLAIN SELECT 1 FROM {limits} WHERE queue = '';
EXPLAIN INSERT INTO {limits} (queue) VALUES ('');
EXPLAIN UPDATE {limits} SET log = '' WHERE queue = '';
EXPLAIN SELECT 1 FROM {done} WHERE ticket = 0;
EXPLAIN INSERT INTO {done} (ticket) VALUES (0);
EXPLAIN DELETE FROM {done} WHERE ticket = 0
