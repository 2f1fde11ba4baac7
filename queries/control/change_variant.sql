UPDATE exp.variants SET description = $2, config = $3::jsonb WHERE id = $1::uuid
