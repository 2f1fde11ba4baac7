SELECT CAST(id AS TEXT) AS id, CAST(run_id AS TEXT) AS run_id, CAST(decision_id AS TEXT) AS decision_id, action_key,
       what, expected, found, advice, CAST(subject AS TEXT) AS subject, CAST(found_at AS TEXT) AS found_at,
       CAST(told_at AS TEXT) AS told_at
FROM rampkeeper.incidents
WHERE closed_at IS NULL
ORDER BY found_at, what
