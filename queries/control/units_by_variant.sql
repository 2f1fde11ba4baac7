-- How many units each arm has.
SELECT CAST(variant_id AS TEXT) AS variant_id, count(*) AS units
FROM exp.assignments
WHERE experiment_id = $1::uuid
GROUP BY variant_id
