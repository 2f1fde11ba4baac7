-- One batch back in one statement. Only units that are where the sweep put them, by the assignment that it moved or made.
-- A redrawn unit gets the time of its former assignment back, too. The bounds stand at every table, so that a batch costs
-- the same however many units there are.
WITH moved AS (
    UPDATE exp.assignments a SET variant_id = $3::uuid, assigned_at = coalesce(m.was_assigned_at, a.assigned_at)
    FROM rampkeeper.assignment_moves m
    WHERE m.move_key = $1 AND m.unit_id > $4 AND m.unit_id <= $5 AND m.from_variant <> m.to_variant
      AND a.experiment_id = $2::uuid AND a.unit_id > $4 AND a.unit_id <= $5
      AND a.unit_id = m.unit_id AND a.variant_id = m.to_variant AND a.assigned_at IS NOT DISTINCT FROM m.assigned_at
      AND NOT EXISTS (
          SELECT 1 FROM rampkeeper.assignment_moves u
          WHERE u.move_key = $6 AND u.unit_id > $4 AND u.unit_id <= $5 AND u.unit_id = m.unit_id)
    RETURNING a.unit_id, m.to_variant, a.assigned_at
), recorded AS (
    INSERT INTO rampkeeper.assignment_moves
        (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at)
    SELECT $6, $2::uuid, unit_id, to_variant, $3::uuid, $7::timestamptz, assigned_at FROM moved
)
SELECT count(*) AS units FROM moved
