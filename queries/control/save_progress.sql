INSERT INTO rampkeeper.cohort_progress AS p (experiment_id, definition, through)
VALUES ($1::uuid, $2, $3::date)
ON CONFLICT (experiment_id, definition) DO UPDATE SET through = excluded.through WHERE p.through < excluded.through
