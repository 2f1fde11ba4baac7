SELECT status AS value FROM exp.prompt_versions WHERE id = $1::uuid
