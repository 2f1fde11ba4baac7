DELETE FROM rampkeeper.registry_aliases WHERE model = $1 AND alias = $2
