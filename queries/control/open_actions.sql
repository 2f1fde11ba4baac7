-- What is still to be done, whether it is due or not, and what was given up.
SELECT a.idempotency_key, CAST(a.decision_id AS TEXT) AS decision_id, a.kind, CAST(a.payload AS TEXT) AS payload,
       a.attempts, a.status, a.last_error, CAST(a.not_before AS TEXT) AS not_before,
       CAST(a.updated_at AS TEXT) AS updated_at
FROM rampkeeper.actions a
WHERE a.status <> 'done'
ORDER BY a.position
