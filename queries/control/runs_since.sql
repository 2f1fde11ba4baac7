-- The runs of a night and of those after it, as `nights` counts them.
SELECT CAST(r.id AS TEXT) AS id, CAST(r.as_of AS TEXT) AS as_of, CAST(r.started_at AS TEXT) AS started_at,
       CAST(r.finished_at AS TEXT) AS finished_at, CAST(r.summary AS TEXT) AS summary
FROM rampkeeper.runs r
WHERE r.as_of >= $1::date
  AND (r.kind = 'night' OR EXISTS (SELECT 1 FROM rampkeeper.night_reports n WHERE n.run_id = r.id))
ORDER BY r.started_at, r.id
