-- The last decisions about a candidate before a night, the latest first, with what they saw.
SELECT CAST(d.id AS TEXT) AS id, d.position, CAST(d.run_id AS TEXT) AS run_id,
       CAST(d.experiment_id AS TEXT) AS experiment_id, CAST(d.candidate_id AS TEXT) AS candidate_id,
       coalesce(e.name, '') AS experiment, coalesce(v.name, '') AS candidate, CAST(d.as_of AS TEXT) AS as_of, d.revision,
       d.outcome, CAST(d.decision AS TEXT) AS decision, d.inputs_digest, CAST(d.decided_at AS TEXT) AS decided_at,
       d.previous_hash, d.hash, CAST(l.assessment AS TEXT) AS assessment, CAST(l.basis AS TEXT) AS basis
FROM rampkeeper.decisions d
JOIN rampkeeper.looks l ON l.decision_id = d.id
LEFT JOIN exp.experiments e ON e.id = d.experiment_id
LEFT JOIN exp.variants v ON v.id = d.candidate_id
WHERE d.experiment_id = $1::uuid AND d.candidate_id = $2::uuid AND d.as_of < $3::date
ORDER BY d.position DESC
LIMIT $4
