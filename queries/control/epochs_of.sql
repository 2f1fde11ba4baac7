SELECT CAST(experiment_id AS TEXT) AS experiment_id, number, CAST(started_at AS TEXT) AS started_at,
       CAST(ended_at AS TEXT) AS ended_at, CAST(allocations AS TEXT) AS allocations, opened_by, moved_units,
       CAST(redrawn_at AS TEXT) AS redrawn_at
FROM rampkeeper.allocation_epochs
WHERE experiment_id = $1::uuid
ORDER BY number
