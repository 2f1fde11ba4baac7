INSERT INTO rampkeeper.acts (id, position, experiment_id, candidate_id, act, said_by, reason, said_at)
VALUES ($1::uuid, (SELECT coalesce(max(position), 0) + 1 FROM rampkeeper.acts), $2::uuid, $3::uuid, $4::json, $5, $6,
        $7::timestamptz)
