SELECT version FROM rampkeeper.registry_tags WHERE model = $1 AND key = $2 AND value = $3
