-- Guarded by the name that the plan saw.
UPDATE exp.variants SET name = $2 WHERE id = $1::uuid AND name = $3
