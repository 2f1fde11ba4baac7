-- A note that was made before is not made again.
INSERT INTO rampkeeper.route_notes (id, experiment_id, about, line, noted_at)
VALUES ($1::uuid, $2::uuid, $3, $4, $5::timestamptz)
ON CONFLICT (experiment_id, about) DO NOTHING
