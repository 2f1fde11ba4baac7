-- The moves that a decision was followed by, the last first: a unit that was swept twice goes back once.
SELECT idempotency_key, CAST(payload AS TEXT) AS payload, status
FROM rampkeeper.actions
WHERE decision_id = $1::uuid AND kind IN ('move_assignments', 'redraw_control')
ORDER BY position DESC
