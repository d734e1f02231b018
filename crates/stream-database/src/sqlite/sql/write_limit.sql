INSERT INTO {limits} (queue, log) VALUES (?1, ?2) ON CONFLICT (queue) DO UPDATE SET log = excluded.log
