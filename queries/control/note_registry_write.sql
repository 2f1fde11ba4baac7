INSERT INTO rampkeeper.registry_writes AS w (model, item, value, action_key, written_at)
VALUES ($1, $2, $3, $4, $5::timestamptz)
ON CONFLICT (model, item) DO UPDATE
SET value = excluded.value, action_key = excluded.action_key, written_at = excluded.written_at
WHERE w.value <> excluded.value OR w.action_key <> excluded.action_key
