-- Their variants, in the order in which the assignment service walks them.
SELECT CAST(v.id AS TEXT) AS id, CAST(v.experiment_id AS TEXT) AS experiment_id, v.name,
       CAST(v.allocation AS TEXT) AS allocation, CAST(v.config AS TEXT) AS config
FROM exp.variants v
JOIN exp.experiments e ON e.id = v.experiment_id
WHERE e.status IN ('active', 'paused')
ORDER BY v.experiment_id, v.created_at, v.name
