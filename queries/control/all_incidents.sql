-- Everything that was ever found otherwise than decided, with the experiment that it concerns, if it is known.
SELECT CAST(i.id AS TEXT) AS id, CAST(i.run_id AS TEXT) AS run_id, CAST(i.decision_id AS TEXT) AS decision_id, i.action_key,
       CAST(d.experiment_id AS TEXT) AS experiment_id, e.name AS experiment, i.what, i.expected, i.found, i.advice,
       CAST(i.found_at AS TEXT) AS found_at, CAST(i.closed_at AS TEXT) AS closed_at
FROM rampkeeper.incidents i
LEFT JOIN rampkeeper.decisions d ON d.id = i.decision_id
LEFT JOIN exp.experiments e ON e.id = d.experiment_id
ORDER BY i.found_at, i.what, i.id
