UPDATE exp.experiments
SET description = $2, unit_type = $3, start_at = $4::timestamptz, end_at = $5::timestamptz
WHERE id = $1::uuid
