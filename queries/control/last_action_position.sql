SELECT coalesce(max(position), 0) AS position FROM rampkeeper.actions
