SELECT min(position) AS position FROM rampkeeper.decisions WHERE position > $1
