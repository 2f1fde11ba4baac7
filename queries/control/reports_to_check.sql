-- Reports of nights without a single decision, and those of the last run that told something: each names the decisions it
-- was committed with.
SELECT CAST(n.as_of AS TEXT) AS as_of, CAST(n.run_id AS TEXT) AS run_id, CAST(n.report AS TEXT) AS report
FROM rampkeeper.night_reports n
WHERE n.run_id = (
       SELECT r.id FROM rampkeeper.runs r
       WHERE EXISTS (SELECT 1 FROM rampkeeper.night_reports m WHERE m.run_id = r.id)
       ORDER BY r.started_at DESC, r.id LIMIT 1)
   OR NOT EXISTS (
       SELECT 1 FROM rampkeeper.decisions d WHERE d.run_id = n.run_id AND d.experiment_id = n.experiment_id)
ORDER BY n.as_of, n.run_id
