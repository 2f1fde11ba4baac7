SELECT definition, CAST(through AS TEXT) AS through
FROM rampkeeper.cohort_progress
WHERE experiment_id = $1::uuid
