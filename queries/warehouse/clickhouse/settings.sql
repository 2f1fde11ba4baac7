-- The settings of the user's profile that decide whether an answer can be trusted, and whether it can be given a limit.
SELECT name, value FROM system.settings WHERE name IN ('skip_unavailable_shards', 'readonly')
