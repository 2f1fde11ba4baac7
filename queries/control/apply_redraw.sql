-- The same units, drawn: the arm, and the instant from which they count as exposed.
UPDATE exp.assignments SET variant_id = $1::uuid, assigned_at = $2::timestamptz
WHERE experiment_id = $3::uuid AND unit_id IN (SELECT value FROM json_array_elements_text($4::json))
