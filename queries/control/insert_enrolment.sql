INSERT INTO rampkeeper.enrolments
    (id, position, experiment_id, variant_id, version_kind, version_id, share, detail, enrolled_by, reason, enrolled_at)
VALUES ($1::uuid, (SELECT coalesce(max(position), 0) + 1 FROM rampkeeper.enrolments), $2::uuid, $3::uuid, $4, $5::uuid,
        $6, $7::json, $8, $9, $10::timestamptz)
