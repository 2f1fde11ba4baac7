SELECT CAST(id AS TEXT) AS id, CAST(prompt_id AS TEXT) AS family_id, CAST(version AS BIGINT) AS version,
       file_path, model_provider, model_name, CAST(config_defaults AS TEXT) AS config_defaults, status
FROM exp.prompt_versions
ORDER BY prompt_id, version
