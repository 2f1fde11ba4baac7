DELETE FROM rampkeeper.leases WHERE name = 'night' AND holder = $1
