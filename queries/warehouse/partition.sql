-- What lies in one day of events: how many, the latest, and how many cannot be dated.
SELECT count(CASE WHEN {exactly} THEN 1 END), {latest}, {misread}
FROM {events} AS e
WHERE {filter}
