-- Of some events of one type on one day: how many lack a field, and how many hold something else than a number there.
SELECT count(*) AS events,
       count(CASE WHEN {missing} THEN 1 END) AS missing,
       count(CASE WHEN NOT {missing} AND {number} IS NULL THEN 1 END) AS not_numbers
FROM (
    SELECT {json} AS json
    FROM exp.events AS e
    WHERE e.event_type = $1 AND e."timestamp" >= $2 AND e."timestamp" < $3
    LIMIT $4
) AS sampled
