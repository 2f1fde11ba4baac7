INSERT INTO rampkeeper.rules (digest, rules) VALUES ($1, $2::json) ON CONFLICT (digest) DO NOTHING
