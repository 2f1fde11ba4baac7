UPDATE rampkeeper.actions
SET status = 'done', attempts = attempts + $3, last_error = NULL, updated_at = $2::timestamptz
WHERE idempotency_key = $1 AND status = 'pending'
