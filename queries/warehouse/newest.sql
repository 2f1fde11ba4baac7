-- When the last event before an instant happened.
SELECT max("timestamp") AS latest_event_at FROM exp.events WHERE "timestamp" < $1
