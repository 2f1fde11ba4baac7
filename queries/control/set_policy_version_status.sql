UPDATE exp.policy_versions SET status = $2 WHERE id = $1::uuid
