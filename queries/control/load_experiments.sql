-- Experiments that are running, or paused by hand.
SELECT CAST(id AS TEXT) AS id, name, status, unit_type,
       CAST(start_at AS TEXT) AS start_at, CAST(end_at AS TEXT) AS end_at, CAST(created_at AS TEXT) AS created_at
FROM exp.experiments
WHERE status IN ('active', 'paused')
ORDER BY name
