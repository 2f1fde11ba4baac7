-- What nobody can look at again is over once it is told.
UPDATE rampkeeper.incidents
SET told_at = coalesce(told_at, $2::timestamptz),
    closed_at = CASE WHEN subject IS NULL THEN $2::timestamptz ELSE closed_at END,
    closed_because = CASE WHEN subject IS NULL THEN 'told' ELSE closed_because END
WHERE id = $1::uuid AND closed_at IS NULL
