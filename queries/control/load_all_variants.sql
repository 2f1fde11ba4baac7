-- The variants of every experiment, in the order in which the assignment service walks them.
SELECT CAST(id AS TEXT) AS id, CAST(experiment_id AS TEXT) AS experiment_id, name, description,
       CAST(allocation AS TEXT) AS allocation, CAST(config AS TEXT) AS config
FROM exp.variants
ORDER BY experiment_id, created_at, name
