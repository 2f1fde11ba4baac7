-- The runs of a night and of those after it.
SELECT CAST(id AS TEXT) AS id, CAST(as_of AS TEXT) AS as_of, CAST(started_at AS TEXT) AS started_at,
       CAST(finished_at AS TEXT) AS finished_at, CAST(summary AS TEXT) AS summary
FROM rampkeeper.runs
WHERE as_of >= $1::date
ORDER BY started_at, id
