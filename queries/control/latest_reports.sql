-- What readers were told together with the last decision of each candidate of running experiments.
SELECT CAST(n.run_id AS TEXT) AS run_id, CAST(n.experiment_id AS TEXT) AS experiment_id, CAST(n.report AS TEXT) AS report
FROM rampkeeper.night_reports n
JOIN exp.experiments e ON e.id = n.experiment_id
WHERE e.status IN ('active', 'paused') AND EXISTS (
    SELECT 1 FROM rampkeeper.decisions d
    WHERE d.run_id = n.run_id AND d.experiment_id = n.experiment_id
      AND d.position IN (SELECT max(m.position) FROM rampkeeper.decisions m GROUP BY m.experiment_id, m.candidate_id)
)
