SELECT count(*) AS found FROM rampkeeper.qualifications WHERE policy_version_id = $1::uuid AND inputs_digest = $2
