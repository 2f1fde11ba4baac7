SELECT CAST(id AS TEXT) AS id, name FROM exp.experiments WHERE name = $1 OR CAST(id AS TEXT) = $1
