INSERT INTO rampkeeper.thresholds
    (experiment_id, metric, definition, threshold, value, first_day, last_day, events, frozen_at)
VALUES ($1::uuid, $2, $3, $4, $5, $6::date, $7::date, $8, $9::timestamptz)
