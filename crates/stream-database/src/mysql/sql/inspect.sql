SELECT @@innodb_flush_log_at_trx_commit <> 1 AS is_not_flushed,
       @@log_bin = 1 AND @@sync_binlog <> 1 AS is_not_synced,
       @@read_only = 1 AS is_read_only,
       EXISTS (
           SELECT 1
           FROM information_schema.tables
           WHERE table_schema = DATABASE() AND table_name IN ('{name}', '{name}_dead', '{name}_limits')
             AND engine <> 'InnoDB'
       ) AS is_of_another_engine
