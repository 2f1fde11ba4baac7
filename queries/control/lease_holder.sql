SELECT holder, CAST(expires_at AS TEXT) AS expires_at FROM rampkeeper.leases WHERE name = 'night'
