UPDATE rampkeeper.incidents SET closed_at = $2::timestamptz, closed_because = $3
WHERE id = $1::uuid AND closed_at IS NULL
