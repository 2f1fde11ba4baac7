-- The journalled mails that have a text somewhere in them, in the order in which they were planned.
SELECT idempotency_key, CAST(decision_id AS TEXT) AS decision_id, kind, CAST(payload AS TEXT) AS payload, status, attempts
FROM rampkeeper.actions
WHERE kind = 'mail' AND CAST(payload AS TEXT) LIKE '%' || $1 || '%'
ORDER BY position
