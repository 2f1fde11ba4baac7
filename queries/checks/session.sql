-- What the server says of this connection and of what its user may do, as one JSON text.
SELECT CAST(json_build_object(
    'user', current_user,
    'version', current_setting('server_version'),
    'version_number', CAST(current_setting('server_version_num') AS integer),
    'now', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'encrypted', (SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()),
    'superuser', (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user),
    'replica', pg_is_in_recovery(),
    'read_only', current_setting('default_transaction_read_only') = 'on',
    'schemas', (
        SELECT coalesce(json_agg(n.nspname), '[]')
        FROM pg_namespace n
        WHERE n.nspname IN ('exp', 'rampkeeper') AND has_schema_privilege(n.oid, 'USAGE')
    ),
    'relations', (
        SELECT coalesce(json_agg(json_build_object(
            'name', n.nspname || '.' || c.relname,
            'owned', pg_has_role(c.relowner, 'USAGE'),
            'whole', ARRAY(
                SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p
                WHERE has_table_privilege(c.oid, p)
            ),
            'columns', (
                SELECT coalesce(json_object_agg(a.attname, ARRAY(
                    SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p
                    WHERE has_column_privilege(c.oid, a.attnum, p)
                )), '{}')
                FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            )
        ) ORDER BY n.nspname, c.relname), '[]')
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('exp', 'rampkeeper') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    )
) AS text) AS session
