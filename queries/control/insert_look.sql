INSERT INTO rampkeeper.looks (decision_id, assessment, basis) VALUES ($1::uuid, $2::json, $3::json)
