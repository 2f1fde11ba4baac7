SELECT key, value FROM rampkeeper.registry_tags WHERE model = $1 AND version = $2
