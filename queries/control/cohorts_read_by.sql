SELECT CAST(cohort_date AS TEXT) AS cohort_date, epoch, CAST(variant_id AS TEXT) AS variant_id,
       revision, CAST(moments AS TEXT) AS moments, packed, CAST(health AS TEXT) AS health, checksum
FROM rampkeeper.cohorts
WHERE experiment_id = $1::uuid AND definition = $2 AND read_at <= $3::timestamptz
ORDER BY cohort_date, epoch, variant_id, revision
