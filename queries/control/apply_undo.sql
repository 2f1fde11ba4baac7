-- SQLite: the batch that was just recorded. A unit that was undone before was recorded earlier, or assigned anew since.
UPDATE exp.assignments
SET variant_id = $1::uuid, assigned_at = (
    SELECT u.assigned_at FROM rampkeeper.assignment_moves u
    WHERE u.move_key = $5 AND u.unit_id = exp.assignments.unit_id)
WHERE experiment_id = $2::uuid AND unit_id > $3 AND unit_id <= $4
  AND unit_id IN (
      SELECT u.unit_id FROM rampkeeper.assignment_moves u
      WHERE u.move_key = $5 AND u.unit_id > $3 AND u.unit_id <= $4 AND u.moved_at = $6::timestamptz
        AND u.from_variant = exp.assignments.variant_id
        AND u.was_assigned_at IS NOT DISTINCT FROM exp.assignments.assigned_at)
