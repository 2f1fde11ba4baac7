-- Some of the units of a sweep that do not go back.
SELECT m.unit_id
FROM rampkeeper.assignment_moves m
LEFT JOIN rampkeeper.assignment_moves u ON u.move_key = $2 AND u.unit_id = m.unit_id
LEFT JOIN exp.assignments a ON a.experiment_id = m.experiment_id AND a.unit_id = m.unit_id
WHERE m.move_key = $1 AND m.from_variant <> m.to_variant AND u.unit_id IS NULL
  AND (a.unit_id IS NULL OR a.variant_id <> m.to_variant OR a.assigned_at IS DISTINCT FROM m.assigned_at)
  AND NOT EXISTS (
      SELECT 1 FROM rampkeeper.assignment_moves n WHERE n.move_key = $3 AND n.unit_id = m.unit_id)
ORDER BY m.unit_id
LIMIT $4
