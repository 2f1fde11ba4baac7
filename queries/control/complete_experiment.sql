-- One that somebody paused meanwhile stays paused.
UPDATE exp.experiments SET status = 'completed', end_at = coalesce(end_at, $2::timestamptz)
WHERE id = $1::uuid AND status = 'active'
