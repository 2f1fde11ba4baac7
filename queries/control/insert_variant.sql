INSERT INTO exp.variants (id, experiment_id, name, description, allocation, config, created_at)
VALUES ($1::uuid, $2::uuid, $3, $4, $5::numeric, $6::jsonb, $7::timestamptz)
