-- The columns of the two tables that are read, to say in words what a failed query missed.
SELECT CASE WHEN named.schema IS NULL THEN table_name::text ELSE table_schema || '.' || table_name END, column_name::text, udt_name::text
FROM information_schema.columns
JOIN (
    SELECT CASE WHEN name LIKE '%.%' THEN split_part(name, '.', 1) END AS schema,
           CASE WHEN name LIKE '%.%' THEN split_part(name, '.', 2) ELSE name END AS table
    FROM unnest($1::text[]) AS names (name)
) AS named ON table_name = named.table AND table_schema = coalesce(named.schema, current_schema())
ORDER BY 1, ordinal_position
