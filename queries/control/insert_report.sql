INSERT INTO rampkeeper.night_reports (run_id, experiment_id, as_of, report)
VALUES ($1::uuid, $2::uuid, $3::date, $4::json)
