-- Found again, it is the same incident; one that is closed stays closed.
INSERT INTO rampkeeper.incidents AS i
    (id, run_id, decision_id, action_key, what, expected, found, advice, subject, found_at)
VALUES ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6, $7, $8, $9::json, $10::timestamptz)
ON CONFLICT (id) DO UPDATE SET found = excluded.found WHERE i.closed_at IS NULL
