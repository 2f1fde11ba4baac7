UPDATE exp.prompt_versions SET status = $2 WHERE id = $1::uuid
