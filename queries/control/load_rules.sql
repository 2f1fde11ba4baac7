-- By which rules each running experiment was judged last.
SELECT CAST(a.experiment_id AS TEXT) AS experiment_id, a.number, CAST(a.evidence_from AS TEXT) AS evidence_from,
       CAST(r.rules AS TEXT) AS rules
FROM rampkeeper.amendments a
JOIN rampkeeper.rules r ON r.digest = a.rules_digest
JOIN exp.experiments e ON e.id = a.experiment_id
WHERE e.status IN ('active', 'paused')
  AND a.number = (SELECT max(l.number) FROM rampkeeper.amendments l WHERE l.experiment_id = a.experiment_id)
