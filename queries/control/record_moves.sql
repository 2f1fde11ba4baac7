-- SQLite, whose statements change one table each, in a write transaction. A unit that was assigned anew and is moved again
-- under the same key is recorded as it is now.
INSERT INTO rampkeeper.assignment_moves
    (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at)
SELECT $6, experiment_id, unit_id, variant_id, $3::uuid, $7::timestamptz, assigned_at
FROM exp.assignments
WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND unit_id > $4 AND unit_id <= $5
ON CONFLICT (move_key, unit_id) DO UPDATE SET moved_at = excluded.moved_at, assigned_at = excluded.assigned_at
