-- Guarded by the status that the plan takes it from.
UPDATE exp.policy_versions SET status = $2 WHERE id = $1::uuid AND status = $3
