SELECT CAST(id AS TEXT) AS id FROM exp.prompt_versions
