-- What people told the job of one experiment, or of everything.
SELECT CAST(a.id AS TEXT) AS id, CAST(a.experiment_id AS TEXT) AS experiment_id,
       CAST(a.candidate_id AS TEXT) AS candidate_id, CAST(a.act AS TEXT) AS act, a.said_by, a.reason,
       CAST(a.said_at AS TEXT) AS said_at
FROM rampkeeper.acts a
WHERE a.experiment_id IS NULL OR a.experiment_id = $1::uuid
ORDER BY a.position
