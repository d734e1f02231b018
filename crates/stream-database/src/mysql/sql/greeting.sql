-- What a connection of our own is told when it is opened. At the server's default, REPEATABLE READ, a
-- reserve locks the gaps between rows as well, and reserves and pushes deadlock.
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION innodb_lock_wait_timeout = 5
