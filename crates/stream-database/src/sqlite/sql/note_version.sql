INSERT INTO {versions} (version, name) VALUES (?1, ?2)
