-- The next units of control that were assigned before a redraw began, held until the batch is written.
SELECT unit_id FROM exp.assignments
WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND assigned_at < $3::timestamptz AND unit_id > $4
ORDER BY unit_id
LIMIT $5 FOR UPDATE
