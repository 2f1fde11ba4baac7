-- SQLite: the batch that was just recorded.
UPDATE exp.assignments SET variant_id = $3::uuid
WHERE experiment_id = $1::uuid AND variant_id = $2::uuid AND unit_id > $4 AND unit_id <= $5
