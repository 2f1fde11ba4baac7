SELECT count(*) AS found FROM exp.variants
WHERE id = $1::uuid AND round(CAST(allocation AS numeric) * 10000) = $2
