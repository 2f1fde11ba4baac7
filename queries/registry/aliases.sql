SELECT alias FROM rampkeeper.registry_aliases WHERE model = $1 AND version = $2 ORDER BY alias
