-- How many numbers a field has in the events of one type of some days, and how many of them exceed each of some edges.
SELECT count(CASE WHEN {number} IS NOT NULL THEN 1 END){beyond}
FROM (
    SELECT {json} AS json
    FROM {events} AS e
    WHERE e.event_type = {event} AND {filter}
) AS taken
