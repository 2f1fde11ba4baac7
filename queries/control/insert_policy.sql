INSERT INTO exp.policies (id, name, description) VALUES ($1::uuid, $2, $3)
