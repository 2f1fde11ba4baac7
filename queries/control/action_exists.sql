SELECT count(*) AS found FROM rampkeeper.actions WHERE idempotency_key = $1
