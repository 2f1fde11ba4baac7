SELECT CAST(a.experiment_id AS TEXT) AS experiment_id, a.number, CAST(a.as_of AS TEXT) AS as_of,
       CAST(a.noted_at AS TEXT) AS noted_at, CAST(a.changes AS TEXT) AS changes, a.restarts, CAST(a.evidence_from AS TEXT) AS evidence_from
FROM rampkeeper.amendments a
WHERE a.experiment_id = $1::uuid
ORDER BY a.number
