-- What lies in one day of events.
SELECT count(*) AS events, max("timestamp") AS latest_event_at
FROM exp.events
WHERE "timestamp" >= $1 AND "timestamp" < $2
