-- The variants of one experiment, whatever its status.
SELECT CAST(id AS TEXT) AS id, name, CAST(allocation AS TEXT) AS allocation
FROM exp.variants
WHERE experiment_id = $1::uuid
ORDER BY created_at, name
