SELECT current_setting('server_version_num')::integer AS version,
       current_setting('fsync') = 'on' AS is_synced,
       current_setting('synchronous_commit') <> 'off' AS is_awaited,
       current_setting('transaction_read_only') = 'on' AS is_read_only,
       to_regclass('{jobs}') IS NULL OR (
           has_table_privilege(to_regclass('{jobs}'), 'SELECT')
           AND has_table_privilege(to_regclass('{jobs}'), 'INSERT')
           AND has_table_privilege(to_regclass('{jobs}'), 'UPDATE')
           AND has_table_privilege(to_regclass('{jobs}'), 'DELETE')
           AND has_table_privilege(to_regclass('{dead}'), 'SELECT')
           AND has_table_privilege(to_regclass('{dead}'), 'INSERT')
           AND has_table_privilege(to_regclass('{dead}'), 'UPDATE')
           AND has_table_privilege(to_regclass('{dead}'), 'DELETE')
           AND has_table_privilege(to_regclass('{limits}'), 'SELECT')
           AND has_table_privilege(to_regclass('{limits}'), 'INSERT')
           AND has_table_privilege(to_regclass('{limits}'), 'UPDATE')
       ) AS is_permitted
