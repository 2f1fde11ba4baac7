INSERT INTO rampkeeper.runs (id, as_of, started_at, config_digest)
VALUES ($1::uuid, $2::date, $3::timestamptz, $4)
