INSERT INTO rampkeeper.amendments
    (experiment_id, number, as_of, noted_at, rules_digest, changes, restarts, evidence_from)
VALUES ($1::uuid, $2, $3::date, $4::timestamptz, $5, $6::json, $7, $8::date)
