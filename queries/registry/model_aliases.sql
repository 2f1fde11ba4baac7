SELECT alias, version FROM rampkeeper.registry_aliases WHERE model = $1 ORDER BY alias
