SELECT CAST(id AS TEXT) AS id, name, description FROM exp.policies ORDER BY name
