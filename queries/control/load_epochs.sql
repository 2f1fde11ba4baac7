SELECT CAST(p.experiment_id AS TEXT) AS experiment_id, p.number, CAST(p.started_at AS TEXT) AS started_at,
       CAST(p.ended_at AS TEXT) AS ended_at, CAST(p.allocations AS TEXT) AS allocations, p.moved_units, p.opened_by,
       CAST(p.redrawn_at AS TEXT) AS redrawn_at
FROM rampkeeper.allocation_epochs p
JOIN exp.experiments e ON e.id = p.experiment_id
WHERE e.status IN ('active', 'paused')
ORDER BY p.experiment_id, p.number
