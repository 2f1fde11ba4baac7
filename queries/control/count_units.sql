-- Units on an arm that were assigned before an instant.
SELECT count(*) AS units FROM exp.assignments
WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND assigned_at < $3::timestamptz
