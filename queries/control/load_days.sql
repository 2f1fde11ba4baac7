SELECT CAST(date AS TEXT) AS date, event_rows, CAST(latest_event_at AS TEXT) AS latest_event_at, content
FROM rampkeeper.partitions
WHERE date >= $1::date
