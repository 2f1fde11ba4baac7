-- Every experiment, whatever its status.
SELECT CAST(id AS TEXT) AS id, name, description, status, unit_type,
       CAST(start_at AS TEXT) AS start_at, CAST(end_at AS TEXT) AS end_at
FROM exp.experiments
ORDER BY name
