SELECT version, description, CAST(success AS INTEGER) AS success, checksum FROM rampkeeper.migrations ORDER BY version
