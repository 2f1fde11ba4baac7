-- What dashboards read: stable columns over tables that may change (docs/dashboards.md). They read with their owner's
-- rights, so who looks at them needs no right on the tables behind them.

-- One row per decision. `is_latest` is false where the same night was decided again.
CREATE VIEW rampkeeper.v_decisions AS
SELECT d.id AS decision_id, d.as_of, d.experiment_id, e.name::text AS experiment, d.candidate_id,
       coalesce(l.basis ->> 'name', v.name) AS candidate, d.outcome,
       (l.basis -> 'facts' -> 'state' ->> 'stage')::int + 1 AS stage,
       (l.basis -> 'facts' ->> 'share')::float8 AS share_before,
       CASE d.outcome
           WHEN 'ramp' THEN (d.decision ->> 'to')::float8
           WHEN 'promote' THEN 1
           WHEN 'rollback' THEN 0
           ELSE (l.basis -> 'facts' ->> 'share')::float8
       END AS share_after,
       d.decision -> 'reasons' -> 0 ->> 'reason' AS reason,
       (SELECT string_agg(r ->> 'reason', ', ' ORDER BY n)
        FROM json_array_elements(d.decision -> 'reasons') WITH ORDINALITY AS x (r, n)) AS reasons,
       (l.assessment ->> 'evidence_through')::date AS evidence_through,
       (l.assessment ->> 'control_units')::bigint AS control_units,
       (l.assessment ->> 'candidate_units')::bigint AS candidate_units,
       (l.assessment ->> 'log_e_rollback')::float8 / ln(10::float8) AS log10_e_rollback,
       d.revision, d.revision = max(d.revision) OVER (PARTITION BY d.experiment_id, d.candidate_id, d.as_of) AS is_latest,
       d.decided_at, d.run_id
FROM rampkeeper.decisions d
LEFT JOIN rampkeeper.looks l ON l.decision_id = d.id
LEFT JOIN exp.experiments e ON e.id = d.experiment_id
LEFT JOIN exp.variants v ON v.id = d.candidate_id;

-- One row per metric of a decision: what the night saw of it. `effect` is a lift or, on the scale `value`, the candidate's
-- own value; `limit_at` is where fine ends, on the same scale. An end of an interval that is infinite is null.
CREATE VIEW rampkeeper.v_looks AS
SELECT d.decision_id, d.as_of, d.experiment_id, d.experiment, d.candidate_id, d.candidate, x.role,
       x.reading ->> 'metric' AS metric, x.reading ->> 'verdict' AS verdict, x.reading ->> 'direction' AS direction,
       x.reading ->> 'scale' AS scale, (x.reading ->> 'control')::float8 AS control_value,
       (x.reading ->> 'candidate')::float8 AS candidate_value, (x.reading ->> 'effect')::float8 AS effect,
       CASE json_typeof(x.reading -> 'interval' -> 'low')
           WHEN 'number' THEN (x.reading -> 'interval' ->> 'low')::float8 END AS effect_low,
       CASE json_typeof(x.reading -> 'interval' -> 'high')
           WHEN 'number' THEN (x.reading -> 'interval' ->> 'high')::float8 END AS effect_high,
       (x.reading ->> 'standard_error')::float8 AS standard_error, b.key AS bound,
       CASE WHEN b.key = 'margin' AND x.reading ->> 'direction' = 'increase' THEN -(b.value::float8)
            ELSE b.value::float8 END AS limit_at,
       exp(least((x.reading ->> 'log_e_harm')::float8, 700)) AS e_value,
       (x.reading ->> 'log_e_harm')::float8 / ln(10::float8) AS log10_e_harm,
       (x.reading ->> 'log_e_adjusted')::float8 / ln(10::float8) AS log10_e_adjusted,
       (x.reading ->> 'control_units')::bigint AS control_units,
       (x.reading ->> 'candidate_units')::bigint AS candidate_units, d.outcome, d.is_latest
FROM rampkeeper.v_decisions d
JOIN rampkeeper.looks l ON l.decision_id = d.decision_id
CROSS JOIN LATERAL (
    SELECT 'guardrail' AS role, g.reading FROM json_array_elements(l.assessment -> 'guardrails') AS g (reading)
    UNION ALL
    SELECT 'success', s.reading FROM json_array_elements(l.assessment -> 'success') AS s (reading)
) x
LEFT JOIN LATERAL (SELECT * FROM json_each_text(x.reading -> 'bound') LIMIT 1) b ON true;

-- One row per variant and stretch of constant shares; the stretch that lasts has no end.
CREATE VIEW rampkeeper.v_ramp_timeline AS
SELECT p.experiment_id, e.name::text AS experiment, p.number AS epoch, v.id AS variant_id,
       coalesce(v.name, a.pair ->> 0) AS variant, (a.pair ->> 1)::float8 AS share, p.started_at,
       CASE WHEN p.number < max(p.number) OVER (PARTITION BY p.experiment_id) THEN p.ended_at END AS ended_at,
       p.opened_by, p.moved_units = 1 AS moved_units
FROM rampkeeper.allocation_epochs p
CROSS JOIN LATERAL json_array_elements(p.allocations) AS a (pair)
LEFT JOIN exp.experiments e ON e.id = p.experiment_id
LEFT JOIN exp.variants v ON v.id::text = a.pair ->> 0;

-- Where every candidate stands, with its last decision.
CREATE VIEW rampkeeper.v_candidates AS
SELECT r.experiment_id, e.name::text AS experiment, e.status::text AS experiment_status, r.candidate_id,
       coalesce(v.name, d.candidate) AS candidate, r.status, r.stage + 1 AS stage, r.entered_on,
       v.allocation::float8 AS share, d.as_of AS decided_for, d.outcome AS last_outcome, d.reason AS last_reason,
       d.decision_id AS last_decision_id, d.control_units, d.candidate_units
FROM rampkeeper.rollouts r
LEFT JOIN exp.experiments e ON e.id = r.experiment_id
LEFT JOIN exp.variants v ON v.id = r.candidate_id
LEFT JOIN LATERAL (
    SELECT * FROM rampkeeper.v_decisions d
    WHERE d.experiment_id = r.experiment_id AND d.candidate_id = r.candidate_id AND d.is_latest
    ORDER BY d.as_of DESC LIMIT 1
) d ON true;

-- One row per decision that saw a split of units: planned beside found.
CREATE VIEW rampkeeper.v_split AS
SELECT d.decision_id, d.as_of, d.experiment_id, d.experiment, d.candidate_id, d.candidate,
       (s.split ->> 'control_units')::bigint AS control_units,
       (s.split ->> 'candidate_units')::bigint AS candidate_units,
       (s.split ->> 'planned_candidate_units')::float8 AS planned_candidate_units,
       (s.split ->> 'log_e')::float8 / ln(10::float8) AS log10_e,
       (s.split ->> 'chi_square_p')::float8 AS chi_square_p, (s.split ->> 'mismatch')::boolean AS mismatch,
       (l.assessment ->> 'multiple_exposure')::float8 AS multiple_exposure, d.is_latest
FROM rampkeeper.v_decisions d
JOIN rampkeeper.looks l ON l.decision_id = d.decision_id
CROSS JOIN LATERAL (SELECT l.assessment -> 'split' AS split) s
WHERE json_typeof(s.split) = 'object';

-- One row per run that decided or told something.
CREATE VIEW rampkeeper.v_nights AS
SELECT r.id AS run_id, r.as_of, r.started_at, r.finished_at,
       extract(epoch FROM r.finished_at - r.started_at)::float8 AS seconds, count(d.id) AS decided,
       count(*) FILTER (WHERE d.outcome = 'rollback') AS rolled_back,
       count(*) FILTER (WHERE d.outcome = 'promote') AS promoted,
       count(*) FILTER (WHERE d.outcome = 'ramp') AS ramped,
       count(*) FILTER (WHERE d.outcome = 'hold') AS held,
       (SELECT count(*) FROM rampkeeper.actions a WHERE a.run_id = r.id AND a.status = 'pending') AS pending_steps,
       (SELECT count(*) FROM rampkeeper.actions a WHERE a.run_id = r.id AND a.status = 'failed') AS failed_steps
FROM rampkeeper.runs r
LEFT JOIN rampkeeper.decisions d ON d.run_id = r.id
GROUP BY r.id, r.as_of, r.started_at, r.finished_at;

-- Values that were not as decided.
CREATE VIEW rampkeeper.v_incidents AS
SELECT i.id AS incident_id, i.found_at, d.experiment, d.candidate, i.what, i.expected, i.found, i.advice,
       i.closed_at IS NULL AS is_open, i.closed_at, i.closed_because, i.decision_id, i.run_id
FROM rampkeeper.incidents i
LEFT JOIN rampkeeper.v_decisions d ON d.decision_id = i.decision_id;

-- What was promised offline beside what came of it online: one row per candidate with a model behind it, and metric of its
-- last look. The offline results may be somebody else's table, so this view is only made where its columns are there.
DO $$ BEGIN
    CREATE VIEW rampkeeper.v_offline_against_online AS
    SELECT c.experiment_id, c.experiment, c.candidate_id, c.candidate, c.status, p.name::text AS policy,
           pv.version AS policy_version, pv.mlflow_model_name::text AS model,
           pv.mlflow_model_version::text AS model_version, o.dataset_version::text AS dataset_version,
           o.plan_alignment_score::float8 AS plan_alignment_score,
           o.constraint_respect_score::float8 AS constraint_respect_score,
           o.edit_distance_score::float8 AS edit_distance_score, o.diversity_score::float8 AS diversity_score,
           o.leftovers_score::float8 AS leftovers_score, o.is_better_than_baseline, o.created_at AS evaluated_at,
           k.as_of, k.role, k.metric, k.verdict, k.scale, k.effect, k.effect_low, k.effect_high, k.limit_at
    FROM rampkeeper.v_candidates c
    JOIN exp.variants v ON v.id = c.candidate_id
    JOIN exp.policy_versions pv ON pv.id::text = lower(CASE
        WHEN v.config::jsonb ->> 'execution_strategy' IS NULL THEN v.config::jsonb ->> 'policy_version_id'
        WHEN v.config::jsonb ->> 'execution_strategy' IN ('mlflow_model', 'hybrid')
            THEN v.config::jsonb -> 'mlflow_model' ->> 'policy_version_id' END)
    LEFT JOIN exp.policies p ON p.id = pv.policy_id
    LEFT JOIN LATERAL (
        SELECT * FROM exp.offline_replay_results r
        WHERE r.policy_version_id = pv.id AND r.status = 'completed' ORDER BY r.created_at DESC LIMIT 1
    ) o ON true
    LEFT JOIN rampkeeper.v_looks k ON k.decision_id = c.last_decision_id;
EXCEPTION WHEN undefined_table OR undefined_column OR undefined_function OR cannot_coerce OR insufficient_privilege THEN
    RAISE WARNING 'the view rampkeeper.v_offline_against_online is not made: %', SQLERRM;
END $$;
