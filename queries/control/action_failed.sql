UPDATE rampkeeper.actions
SET status = $4, attempts = attempts + $5, last_error = $3, updated_at = $2::timestamptz
WHERE idempotency_key = $1 AND status = 'pending'
