-- Of some events of one type on one day: how many lack a field, and how many hold something else than a number there.
SELECT count(*),
       count(CASE WHEN {missing} THEN 1 END),
       count(CASE WHEN NOT {missing} AND {number} IS NULL THEN 1 END)
FROM (
    SELECT {json} AS json
    FROM {events} AS e
    WHERE e.event_type = {event} AND {filter}
    LIMIT {limit}
) AS sampled
