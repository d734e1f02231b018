-- ticket.
INSERT INTO {done} (ticket) VALUES (?)
