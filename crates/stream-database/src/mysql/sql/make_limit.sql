INSERT INTO {limits} (queue, log) VALUES (?, '') ON DUPLICATE KEY UPDATE queue = queue
