-- Of each candidate, the last revision of its last decided night.
SELECT CAST(d.experiment_id AS TEXT) AS experiment_id, CAST(d.candidate_id AS TEXT) AS candidate_id,
       CAST(d.as_of AS TEXT) AS as_of, d.revision, d.inputs_digest, CAST(d.decided_at AS TEXT) AS decided_at
FROM rampkeeper.decisions d
WHERE d.position = (
    SELECT max(l.position) FROM rampkeeper.decisions l
    WHERE l.experiment_id = d.experiment_id AND l.candidate_id = d.candidate_id
)
