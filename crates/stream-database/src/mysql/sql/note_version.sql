-- version, name.
INSERT INTO {versions} (version, name) VALUES (?, ?) ON DUPLICATE KEY UPDATE version = version
