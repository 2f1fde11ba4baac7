INSERT INTO exp.events
    (id, event_type, unit_type, unit_id, experiments, context, metrics, payload, timestamp, created_at)
VALUES ($1::uuid, $2, $3, 'rampkeeper', $4::jsonb, '{}', '{}', $5::jsonb, $6::timestamptz, $6::timestamptz)
ON CONFLICT (id) DO NOTHING
