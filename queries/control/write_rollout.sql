-- Guarded by the version that the new state was computed from.
INSERT INTO rampkeeper.rollouts AS r (experiment_id, candidate_id, status, stage, entered_on, version, updated_at)
VALUES ($1::uuid, $2::uuid, $3, $4, $5::date, $6 + 1, $7::timestamptz)
ON CONFLICT (experiment_id, candidate_id) DO UPDATE
SET status = excluded.status, stage = excluded.stage, entered_on = excluded.entered_on,
    version = excluded.version, updated_at = excluded.updated_at
WHERE r.version = $6
