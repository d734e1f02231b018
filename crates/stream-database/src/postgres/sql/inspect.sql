SELECT current_setting('server_version_num')::integer AS version,
       current_setting('fsync') = 'off' AS is_unsynced,
       current_setting('synchronous_commit') = 'off' AS is_not_awaited,
       current_setting('transaction_read_only') = 'on' AS is_read_only,
       EXISTS (
           SELECT
           FROM (VALUES (to_regclass('{jobs}'), 'SELECT'), (to_regclass('{jobs}'), 'INSERT'),
                        (to_regclass('{jobs}'), 'UPDATE'), (to_regclass('{jobs}'), 'DELETE'),
                        (to_regclass('{dead}'), 'SELECT'), (to_regclass('{dead}'), 'INSERT'),
                        (to_regclass('{dead}'), 'UPDATE'), (to_regclass('{dead}'), 'DELETE'),
                        (to_regclass('{limits}'), 'SELECT'), (to_regclass('{limits}'), 'INSERT'),
                        (to_regclass('{limits}'), 'UPDATE')) AS needed (of_table, privilege)
           WHERE NOT has_table_privilege(of_table, privilege)
       ) AS is_forbidden
