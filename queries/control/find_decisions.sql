-- The decisions whose key begins so.
SELECT CAST(d.id AS TEXT) AS id, CAST(d.experiment_id AS TEXT) AS experiment_id,
       CAST(d.candidate_id AS TEXT) AS candidate_id, CAST(d.as_of AS TEXT) AS as_of, d.outcome, e.name AS experiment,
       v.name AS candidate
FROM rampkeeper.decisions d
LEFT JOIN exp.experiments e ON e.id = d.experiment_id
LEFT JOIN exp.variants v ON v.id = d.candidate_id
WHERE CAST(d.id AS TEXT) LIKE $1
ORDER BY d.position
LIMIT 6
