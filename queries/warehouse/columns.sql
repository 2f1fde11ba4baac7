-- The columns of the two tables that are read, to say in words what a failed query missed.
SELECT table_name::text, column_name::text, udt_name::text
FROM information_schema.columns
WHERE table_schema = 'exp' AND table_name IN ('assignments', 'events')
ORDER BY table_name, ordinal_position
