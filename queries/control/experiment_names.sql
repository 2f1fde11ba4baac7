SELECT name FROM exp.experiments ORDER BY name
