SELECT position, hash FROM rampkeeper.decisions ORDER BY position DESC LIMIT 1
