INSERT INTO rampkeeper.cohorts
    (experiment_id, definition, cohort_date, epoch, variant_id, revision, moments, packed, health, checksum, read_at)
VALUES ($1::uuid, $2, $3::date, $4, $5::uuid, $11, $6::json, $7, $8::json, $9, $10::timestamptz)
ON CONFLICT (experiment_id, definition, cohort_date, epoch, variant_id, revision) DO NOTHING
