INSERT INTO exp.prompts (id, name, description) VALUES ($1::uuid, $2, $3)
