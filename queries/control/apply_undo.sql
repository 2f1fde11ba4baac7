-- SQLite: the batch that was just recorded. A unit that was undone before was recorded earlier, or assigned anew since.
UPDATE exp.assignments SET variant_id = $1::uuid
WHERE experiment_id = $2::uuid AND variant_id = $3::uuid AND unit_id > $4 AND unit_id <= $5
  AND unit_id IN (
      SELECT u.unit_id FROM rampkeeper.assignment_moves u
      WHERE u.move_key = $6 AND u.unit_id > $4 AND u.unit_id <= $5 AND u.moved_at = $7::timestamptz
        AND u.assigned_at IS NOT DISTINCT FROM exp.assignments.assigned_at)
