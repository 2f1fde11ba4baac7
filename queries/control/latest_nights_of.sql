-- The latest nights that an experiment was judged in.
SELECT DISTINCT CAST(as_of AS TEXT) AS as_of
FROM rampkeeper.decisions
WHERE experiment_id = $1::uuid
ORDER BY as_of DESC
LIMIT $2
