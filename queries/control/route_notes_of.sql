SELECT CAST(id AS TEXT) AS id, CAST(experiment_id AS TEXT) AS experiment_id, about, line, CAST(told_in AS TEXT) AS told_in
FROM rampkeeper.route_notes
WHERE experiment_id = $1::uuid
ORDER BY noted_at, about
