SELECT digest, CAST(rules AS TEXT) AS rules FROM rampkeeper.rules WHERE digest = $1
