SELECT CAST(r.experiment_id AS TEXT) AS experiment_id, CAST(r.candidate_id AS TEXT) AS candidate_id, r.status, r.stage,
       CAST(r.entered_on AS TEXT) AS entered_on, r.version
FROM rampkeeper.rollouts r
JOIN exp.experiments e ON e.id = r.experiment_id
WHERE e.status IN ('active', 'paused')
