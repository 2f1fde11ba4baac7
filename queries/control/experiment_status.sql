SELECT status AS value FROM exp.experiments WHERE id = $1::uuid
