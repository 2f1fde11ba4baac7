-- Only of a version that nothing has used.
UPDATE exp.prompt_versions SET config_defaults = $2::jsonb, file_path = $3, model_provider = $4, model_name = $5
WHERE id = $1::uuid
