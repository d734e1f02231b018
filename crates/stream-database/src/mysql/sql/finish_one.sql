-- id, queue, token.
DELETE FROM {jobs} WHERE id = ? AND queue = ? AND token = ?
