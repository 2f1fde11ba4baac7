INSERT INTO rampkeeper.qualifications
    (id, position, policy_version_id, result_id, verdict, judgement, inputs_digest, judged_at)
VALUES ($1::uuid, (SELECT coalesce(max(position), 0) + 1 FROM rampkeeper.qualifications), $2::uuid, $3::uuid, $4,
        $5::json, $6, $7::timestamptz)
ON CONFLICT (policy_version_id, inputs_digest) DO NOTHING
