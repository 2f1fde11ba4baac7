-- The latest nights that anything was recorded of. What somebody did by hand counts where it was told like a night.
SELECT DISTINCT CAST(r.as_of AS TEXT) AS as_of
FROM rampkeeper.runs r
WHERE r.as_of <= $1::date
  AND (r.kind = 'night' OR EXISTS (SELECT 1 FROM rampkeeper.night_reports n WHERE n.run_id = r.id))
ORDER BY as_of DESC
LIMIT $2
