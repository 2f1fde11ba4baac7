SELECT CAST(id AS TEXT) AS id, CAST(experiment_id AS TEXT) AS experiment_id, CAST(version_id AS TEXT) AS version_id
FROM rampkeeper.enrolments
