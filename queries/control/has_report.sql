SELECT count(*) AS found FROM rampkeeper.night_reports WHERE experiment_id = $1::uuid AND as_of = $2::date
