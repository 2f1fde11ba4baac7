SELECT value, CAST(written_at AS TEXT) AS written_at FROM rampkeeper.registry_writes WHERE model = $1 AND item = $2
