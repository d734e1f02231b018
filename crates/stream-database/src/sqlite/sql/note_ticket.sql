INSERT INTO "{name}_completed" (ticket) VALUES (?1)
