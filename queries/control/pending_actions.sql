SELECT a.idempotency_key, CAST(a.decision_id AS TEXT) AS decision_id, a.kind, CAST(a.payload AS TEXT) AS payload,
       a.attempts
FROM rampkeeper.actions a
WHERE a.status = 'pending' AND (a.not_before IS NULL OR a.not_before <= $1::timestamptz)
ORDER BY a.position
