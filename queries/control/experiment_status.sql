SELECT CAST(id AS TEXT) AS id, status FROM exp.experiments WHERE id = $1::uuid
