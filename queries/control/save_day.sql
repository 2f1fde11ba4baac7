INSERT INTO rampkeeper.partitions (date, event_rows, latest_event_at)
VALUES ($1::date, $2, $3::timestamptz)
ON CONFLICT (date) DO NOTHING
