-- The last unit of the next batch of an arm.
SELECT max(unit_id) AS last
FROM (
    SELECT unit_id FROM exp.assignments
    WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND unit_id > $3
    ORDER BY unit_id
    LIMIT $4
) AS batch
