UPDATE exp.policies SET description = $2 WHERE id = $1::uuid
