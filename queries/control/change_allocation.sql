-- Guarded by the allocation that the plan was computed from, in ten-thousandths.
UPDATE exp.variants SET allocation = $2::numeric
WHERE id = $1::uuid AND round(CAST(allocation AS numeric) * 10000) = $3
