INSERT INTO rampkeeper.looks (decision_id, assessment) VALUES ($1::uuid, $2::json)
