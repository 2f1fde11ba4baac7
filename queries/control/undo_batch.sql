-- One batch back in one statement. Only units that are where the sweep put them, by the assignment that it moved. The
-- bounds stand at every table, so that a batch costs the same however many units there are.
WITH moved AS (
    UPDATE exp.assignments a SET variant_id = $3::uuid
    FROM rampkeeper.assignment_moves m
    WHERE m.move_key = $1 AND m.unit_id > $5 AND m.unit_id <= $6
      AND a.experiment_id = $2::uuid AND a.unit_id > $5 AND a.unit_id <= $6
      AND a.unit_id = m.unit_id AND a.variant_id = $4::uuid AND a.assigned_at IS NOT DISTINCT FROM m.assigned_at
      AND NOT EXISTS (
          SELECT 1 FROM rampkeeper.assignment_moves u
          WHERE u.move_key = $7 AND u.unit_id > $5 AND u.unit_id <= $6 AND u.unit_id = m.unit_id)
    RETURNING a.unit_id, a.assigned_at
), recorded AS (
    INSERT INTO rampkeeper.assignment_moves
        (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at)
    SELECT $7, $2::uuid, unit_id, $4::uuid, $3::uuid, $8::timestamptz, assigned_at FROM moved
)
SELECT count(*) AS units FROM moved
