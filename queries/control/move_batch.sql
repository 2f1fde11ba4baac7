-- One batch in one statement: what is moved is exactly what is recorded, whoever else writes at the same time. Bounded
-- by the index alone, so that a batch costs the same however many units there are.
WITH moved AS (
    UPDATE exp.assignments SET variant_id = $3::uuid
    WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND unit_id > $4 AND unit_id <= $5
    RETURNING unit_id, assigned_at
), recorded AS (
    INSERT INTO rampkeeper.assignment_moves
        (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at)
    SELECT $6, $1::uuid, unit_id, $2::uuid, $3::uuid, $7::timestamptz, assigned_at FROM moved
    ON CONFLICT (move_key, unit_id) DO UPDATE SET moved_at = excluded.moved_at, assigned_at = excluded.assigned_at
)
SELECT count(*) AS units FROM moved
