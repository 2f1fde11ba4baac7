SELECT version, key, value FROM rampkeeper.registry_tags WHERE model = $1
