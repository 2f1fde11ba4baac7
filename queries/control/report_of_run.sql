SELECT CAST(run_id AS TEXT) AS run_id, CAST(experiment_id AS TEXT) AS experiment_id, CAST(report AS TEXT) AS report
FROM rampkeeper.night_reports
WHERE run_id = $1::uuid AND experiment_id = $2::uuid
