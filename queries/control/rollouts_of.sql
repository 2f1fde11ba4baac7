SELECT CAST(experiment_id AS TEXT) AS experiment_id, CAST(candidate_id AS TEXT) AS candidate_id, status, stage,
       CAST(entered_on AS TEXT) AS entered_on, version
FROM rampkeeper.rollouts
WHERE experiment_id = $1::uuid
