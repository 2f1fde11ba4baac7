-- Ours, free, or expired: taken. Held by another: no row.
INSERT INTO rampkeeper.leases AS l (name, holder, expires_at)
VALUES ('night', $1, $3::timestamptz)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = $1 OR l.expires_at <= $2::timestamptz
