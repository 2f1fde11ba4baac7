-- What nights have set themselves: statuses of versions, and experiments that they completed.
SELECT idempotency_key, CAST(payload AS TEXT) AS payload
FROM rampkeeper.actions
WHERE kind IN ('set_policy_version_status', 'set_prompt_version_status', 'complete_experiment') AND status = 'done'
