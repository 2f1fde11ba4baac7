-- The columns of a table, to say in words what a failed query missed.
SELECT column_name, lower(data_type)
FROM information_schema.columns
WHERE table_schema = coalesce(?, database()) AND table_name = ?
ORDER BY ordinal_position
