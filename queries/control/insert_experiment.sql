INSERT INTO exp.experiments (id, name, description, status, unit_type, start_at, end_at, created_at, updated_at)
VALUES ($1::uuid, $2, $3, $4, $5, $6::timestamptz, $7::timestamptz, $8::timestamptz, $8::timestamptz)
