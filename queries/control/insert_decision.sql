INSERT INTO rampkeeper.decisions
    (id, position, run_id, experiment_id, candidate_id, as_of, revision, outcome, decision, inputs_digest, decided_at,
     previous_hash, hash)
VALUES ($1::uuid, $2, $3::uuid, $4::uuid, $5::uuid, $6::date, $7, $8, $9::json, $10, $11::timestamptz, $12, $13)
