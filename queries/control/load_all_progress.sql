SELECT CAST(experiment_id AS TEXT) AS experiment_id, definition, CAST(through AS TEXT) AS through
FROM rampkeeper.cohort_progress
