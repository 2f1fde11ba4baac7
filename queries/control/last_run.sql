-- The last night's run; what somebody did by hand since is none.
SELECT CAST(id AS TEXT) AS id, CAST(as_of AS TEXT) AS as_of, CAST(started_at AS TEXT) AS started_at,
       CAST(finished_at AS TEXT) AS finished_at, CAST(summary AS TEXT) AS summary
FROM rampkeeper.runs
WHERE kind = 'night'
ORDER BY started_at DESC, id
LIMIT 1
