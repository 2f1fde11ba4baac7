-- Everything that was said of one night, in the order of the runs that said it.
SELECT CAST(n.run_id AS TEXT) AS run_id, CAST(n.experiment_id AS TEXT) AS experiment_id, CAST(n.report AS TEXT) AS report
FROM rampkeeper.night_reports n
JOIN rampkeeper.runs r ON r.id = n.run_id
WHERE n.as_of = $1::date
ORDER BY r.started_at, r.id
