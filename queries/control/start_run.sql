INSERT INTO rampkeeper.runs (id, as_of, started_at, config_digest, kind)
VALUES ($1::uuid, $2::date, $3::timestamptz, $4, $5)
