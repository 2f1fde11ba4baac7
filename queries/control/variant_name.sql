SELECT name AS value FROM exp.variants WHERE id = $1::uuid
