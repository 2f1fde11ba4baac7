-- One batch in one statement: what is moved is exactly what is recorded, whoever else writes at the same time.
WITH batch AS (
    SELECT unit_id FROM exp.assignments
    WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND unit_id > $3
    ORDER BY unit_id
    LIMIT $4
    FOR UPDATE
), moved AS (
    UPDATE exp.assignments a SET variant_id = $5::uuid
    FROM batch b
    WHERE a.experiment_id = $1::uuid AND a.unit_id = b.unit_id
    RETURNING a.unit_id, a.assigned_at
), recorded AS (
    INSERT INTO rampkeeper.assignment_moves AS m
        (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at)
    SELECT $6, $1::uuid, unit_id, $2::uuid, $5::uuid, $7::timestamptz, assigned_at FROM moved
    ON CONFLICT (move_key, unit_id) DO UPDATE SET moved_at = excluded.moved_at, assigned_at = excluded.assigned_at
)
SELECT max(unit_id) AS last, count(*) AS units FROM moved
