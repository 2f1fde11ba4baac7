-- What the server says of this connection; the zone is the server's own, since ours is set to UTC.
SELECT version(), current_user(), @@global.time_zone, @@global.system_time_zone, @@global.sql_mode
