-- Scores are exact decimals, and are read as text.
SELECT CAST(id AS TEXT) AS id, CAST(policy_version_id AS TEXT) AS policy_version_id, dataset_version, status,
       CAST(plan_alignment_score AS TEXT) AS plan_alignment_score,
       CAST(constraint_respect_score AS TEXT) AS constraint_respect_score,
       CAST(edit_distance_score AS TEXT) AS edit_distance_score,
       CAST(diversity_score AS TEXT) AS diversity_score,
       CAST(leftovers_score AS TEXT) AS leftovers_score,
       CAST(baseline_version_id AS TEXT) AS baseline_version_id,
       CAST(CASE WHEN is_better_than_baseline THEN 1 WHEN NOT is_better_than_baseline THEN 0 END AS BIGINT) AS is_better,
       error_message, CAST(created_at AS TEXT) AS created_at
FROM exp.offline_replay_results
ORDER BY created_at, id
