-- Guarded by the status that the change was computed from.
UPDATE exp.experiments SET status = $2 WHERE id = $1::uuid AND status = $3
