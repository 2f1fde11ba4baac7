SELECT CAST(id AS TEXT) AS id, name, description FROM exp.prompts ORDER BY name
