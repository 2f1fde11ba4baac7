UPDATE exp.variants SET name = $2 WHERE id = $1::uuid
