-- When the last event before an instant happened.
SELECT {latest}
FROM {events} AS e
WHERE {filter}
