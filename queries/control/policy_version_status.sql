SELECT status AS value FROM exp.policy_versions WHERE id = $1::uuid
