-- A mail as it was journalled.
SELECT CAST(payload AS TEXT) AS payload FROM rampkeeper.actions WHERE idempotency_key = $1
