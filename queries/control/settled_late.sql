-- Follow-ups that were done or given up after the mail about their decision had been written, and not long ago. Those that
-- were to wait anyway are none.
SELECT a.idempotency_key, CAST(a.decision_id AS TEXT) AS decision_id, a.kind, CAST(a.payload AS TEXT) AS payload,
       a.attempts, a.status, a.last_error, CAST(a.updated_at AS TEXT) AS updated_at, m.idempotency_key AS mail
FROM rampkeeper.actions a
JOIN rampkeeper.actions m ON m.idempotency_key = 'mail/action-' || CAST(a.decision_id AS TEXT) || '@' || $1
WHERE a.status <> 'pending' AND a.not_before IS NULL AND a.updated_at > m.created_at AND a.updated_at >= $2::timestamptz
ORDER BY a.position
