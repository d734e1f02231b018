SELECT VERSION() AS version,
       CAST(@@max_allowed_packet AS SIGNED) AS packet_bytes_max,
       CAST(@@autocommit AS SIGNED) AS commits_alone
