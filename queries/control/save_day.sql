INSERT INTO rampkeeper.partitions (date, event_rows, latest_event_at, content)
VALUES ($1::date, $2, $3::timestamptz, $4)
ON CONFLICT (date) DO NOTHING
