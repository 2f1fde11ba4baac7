-- What else an experiment's record consists of, in short: if none of it is different, nothing of it is. Without an
-- experiment it concerns all of them.
SELECT CAST(experiment_id AS TEXT) AS experiment_id, 'acts ' || CAST(count(*) AS TEXT) AS mark
FROM rampkeeper.acts GROUP BY experiment_id
UNION ALL
SELECT CAST(experiment_id AS TEXT), 'rules ' || CAST(count(*) AS TEXT) FROM rampkeeper.amendments GROUP BY experiment_id
UNION ALL
SELECT CAST(experiment_id AS TEXT), 'epochs ' || CAST(count(*) AS TEXT) FROM rampkeeper.allocation_epochs GROUP BY experiment_id
UNION ALL
SELECT CAST(experiment_id AS TEXT), 'state ' || CAST(candidate_id AS TEXT) || ' ' || CAST(version AS TEXT)
FROM rampkeeper.rollouts
UNION ALL
SELECT CAST(v.experiment_id AS TEXT), 'variant ' || CAST(v.id AS TEXT) || ' ' || CAST(v.allocation AS TEXT) || ' ' || v.name
FROM exp.variants v
WHERE EXISTS (SELECT 1 FROM rampkeeper.decisions d WHERE d.experiment_id = v.experiment_id)
UNION ALL
SELECT CAST(d.experiment_id AS TEXT), 'incident ' || CAST(i.id AS TEXT) || ' ' || i.found || coalesce(' over ' || CAST(i.closed_at AS TEXT), '')
FROM rampkeeper.incidents i
JOIN rampkeeper.decisions d ON d.id = i.decision_id
