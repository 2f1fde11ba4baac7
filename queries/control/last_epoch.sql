SELECT CAST(experiment_id AS TEXT) AS experiment_id, number, CAST(started_at AS TEXT) AS started_at,
       CAST(ended_at AS TEXT) AS ended_at, CAST(allocations AS TEXT) AS allocations, moved_units, opened_by
FROM rampkeeper.allocation_epochs
WHERE experiment_id = $1::uuid
ORDER BY number DESC
LIMIT 1
