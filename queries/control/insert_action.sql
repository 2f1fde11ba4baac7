INSERT INTO rampkeeper.actions
    (idempotency_key, decision_id, run_id, position, kind, payload, status, not_before, created_at, updated_at)
VALUES ($1, $2::uuid, $3::uuid, $4, $5, $6::json, 'pending', $8::timestamptz, $7::timestamptz, $7::timestamptz)
ON CONFLICT (idempotency_key) DO NOTHING
