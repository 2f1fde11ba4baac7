-- The last that was said of each experiment that night.
SELECT CAST(n.as_of AS TEXT) AS as_of, CAST(n.run_id AS TEXT) AS run_id, CAST(n.report AS TEXT) AS report
FROM rampkeeper.night_reports n
JOIN rampkeeper.runs r ON r.id = n.run_id
WHERE n.as_of = $1::date AND r.started_at = (
    SELECT max(l.started_at) FROM rampkeeper.night_reports m JOIN rampkeeper.runs l ON l.id = m.run_id
    WHERE m.as_of = n.as_of AND m.experiment_id = n.experiment_id
)
