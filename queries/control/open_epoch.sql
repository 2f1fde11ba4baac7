INSERT INTO rampkeeper.allocation_epochs
    (experiment_id, number, started_at, ended_at, allocations, opened_by, moved_units, redrawn_at)
VALUES ($1::uuid, $2, $3::timestamptz, NULL, $4::json, $5, $6, $7::timestamptz)
