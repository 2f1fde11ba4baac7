INSERT INTO exp.prompt_versions
    (id, prompt_id, version, config_defaults, status, file_path, model_provider, model_name)
VALUES ($1::uuid, $2::uuid, $3::int, $4::jsonb, $5, $6, $7, $8)
