SELECT CAST(as_of AS TEXT) AS as_of, CAST(run_id AS TEXT) AS run_id, CAST(report AS TEXT) AS report
FROM rampkeeper.night_reports
WHERE told = 0
