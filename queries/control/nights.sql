-- The latest nights that anything was recorded of.
SELECT DISTINCT CAST(as_of AS TEXT) AS as_of
FROM rampkeeper.runs
WHERE as_of <= $1::date
ORDER BY as_of DESC
LIMIT $2
