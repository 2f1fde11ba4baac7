-- A further revision of a closed cohort, beside those that were decided from.
INSERT INTO rampkeeper.cohorts
    (experiment_id, definition, cohort_date, epoch, variant_id, revision, moments, packed, health, checksum, read_at)
SELECT experiment_id, definition, cohort_date, epoch, variant_id, max(revision) + 1, $6::json, $7, $8::json, $9,
       $10::timestamptz
FROM rampkeeper.cohorts
WHERE experiment_id = $1::uuid AND definition = $2 AND cohort_date = $3::date AND epoch = $4 AND variant_id = $5::uuid
GROUP BY experiment_id, definition, cohort_date, epoch, variant_id
