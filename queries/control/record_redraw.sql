-- The units of a batch that a redraw gives one arm, as their assignments are before it. Moved or not, each is on record.
INSERT INTO rampkeeper.assignment_moves
    (move_key, experiment_id, unit_id, from_variant, to_variant, moved_at, assigned_at, was_assigned_at)
SELECT $1, experiment_id, unit_id, variant_id, $2::uuid, $3::timestamptz, $4::timestamptz, assigned_at
FROM exp.assignments
WHERE experiment_id = $5::uuid AND unit_id IN (SELECT value FROM json_array_elements_text($6::json))
ON CONFLICT (move_key, unit_id) DO NOTHING
