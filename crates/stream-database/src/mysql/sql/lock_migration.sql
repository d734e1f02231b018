-- the table's name, seconds. The name of a lock is of the whole server and at most 64 characters.
SELECT GET_LOCK(CONCAT('stream.', SHA2(CONCAT(DATABASE(), '.', ?), 224)), ?)
