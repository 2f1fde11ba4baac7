SELECT CAST(id AS TEXT) AS id, CAST(policy_version_id AS TEXT) AS policy_version_id, verdict,
       CAST(judgement AS TEXT) AS judgement, inputs_digest, CAST(judged_at AS TEXT) AS judged_at
FROM rampkeeper.qualifications
ORDER BY position
