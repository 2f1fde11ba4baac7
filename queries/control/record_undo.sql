-- SQLite: what goes back of a batch.
INSERT INTO rampkeeper.assignment_moves
    (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at, was_assigned_at)
SELECT $6, m.experiment_id, m.unit_id, m.to_variant, $3::uuid, $7::timestamptz,
       coalesce(m.was_assigned_at, m.assigned_at), m.assigned_at
FROM rampkeeper.assignment_moves m
JOIN exp.assignments a ON a.experiment_id = $2::uuid AND a.unit_id = m.unit_id
WHERE m.move_key = $1 AND m.unit_id > $4 AND m.unit_id <= $5 AND m.from_variant <> m.to_variant
  AND a.variant_id = m.to_variant AND a.assigned_at IS NOT DISTINCT FROM m.assigned_at
ON CONFLICT (move_key, unit_id) DO NOTHING
