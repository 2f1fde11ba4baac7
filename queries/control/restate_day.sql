UPDATE rampkeeper.partitions SET event_rows = $2, latest_event_at = $3::timestamptz, content = $4 WHERE date = $1::date
