INSERT INTO rampkeeper.cohorts
    (experiment_id, definition, cohort_date, epoch, variant_id, revision, moments, health, checksum, read_at)
VALUES ($1::uuid, $2, $3::date, $4, $5::uuid, $10, $6::json, $7::json, $8, $9::timestamptz)
ON CONFLICT (experiment_id, definition, cohort_date, epoch, variant_id, revision) DO NOTHING
