UPDATE exp.prompts SET description = $2 WHERE id = $1::uuid
