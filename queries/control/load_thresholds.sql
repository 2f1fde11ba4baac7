SELECT CAST(experiment_id AS TEXT) AS experiment_id, metric, definition, threshold, value,
       CAST(first_day AS TEXT) AS first_day, CAST(last_day AS TEXT) AS last_day, events
FROM rampkeeper.thresholds ORDER BY experiment_id, metric, definition
