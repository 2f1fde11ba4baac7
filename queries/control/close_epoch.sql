UPDATE rampkeeper.allocation_epochs SET ended_at = $3::timestamptz
WHERE experiment_id = $1::uuid AND number = $2 AND ended_at IS NULL
