-- What dashboards read, as far as it makes sense here: the columns of docs/dashboards.md.

-- One row per decision. `is_latest` is 0 where the same night was decided again.
CREATE VIEW rampkeeper_v_decisions AS
SELECT d.id AS decision_id, d.as_of, d.experiment_id, e.name AS experiment, d.candidate_id,
       coalesce(l.basis ->> '$.name', v.name) AS candidate, d.outcome, (l.basis ->> '$.facts.state.stage') + 1 AS stage,
       l.basis ->> '$.facts.share' AS share_before,
       CASE d.outcome
           WHEN 'ramp' THEN d.decision ->> '$.to'
           WHEN 'promote' THEN 1
           WHEN 'rollback' THEN 0
           ELSE l.basis ->> '$.facts.share'
       END AS share_after,
       d.decision ->> '$.reasons[0].reason' AS reason,
       (SELECT group_concat(r.value ->> '$.reason', ', ') FROM json_each(d.decision, '$.reasons') r) AS reasons,
       l.assessment ->> '$.evidence_through' AS evidence_through, l.assessment ->> '$.control_units' AS control_units,
       l.assessment ->> '$.candidate_units' AS candidate_units,
       (l.assessment ->> '$.log_e_rollback') / 2.302585092994046 AS log10_e_rollback, d.revision,
       d.revision = max(d.revision) OVER (PARTITION BY d.experiment_id, d.candidate_id, d.as_of) AS is_latest,
       d.decided_at, d.run_id
FROM rampkeeper_decisions d
LEFT JOIN rampkeeper_looks l ON l.decision_id = d.id
LEFT JOIN exp_experiments e ON e.id = d.experiment_id
LEFT JOIN exp_variants v ON v.id = d.candidate_id;

-- One row per metric of a decision. An end of an interval that is infinite is null.
CREATE VIEW rampkeeper_v_looks AS
SELECT d.decision_id, d.as_of, d.experiment_id, d.experiment, d.candidate_id, d.candidate, x.role,
       x.reading ->> '$.metric' AS metric, x.reading ->> '$.verdict' AS verdict,
       x.reading ->> '$.direction' AS direction, x.reading ->> '$.scale' AS scale,
       x.reading ->> '$.control' AS control_value, x.reading ->> '$.candidate' AS candidate_value,
       x.reading ->> '$.effect' AS effect,
       CASE WHEN json_type(x.reading, '$.interval.low') IN ('real', 'integer')
            THEN x.reading ->> '$.interval.low' END AS effect_low,
       CASE WHEN json_type(x.reading, '$.interval.high') IN ('real', 'integer')
            THEN x.reading ->> '$.interval.high' END AS effect_high,
       x.reading ->> '$.standard_error' AS standard_error,
       (SELECT b.key FROM json_each(x.reading, '$.bound') b LIMIT 1) AS bound,
       (SELECT CASE WHEN b.key = 'margin' AND x.reading ->> '$.direction' = 'increase' THEN -b.value ELSE b.value END
        FROM json_each(x.reading, '$.bound') b LIMIT 1) AS limit_at,
       (x.reading ->> '$.log_e_harm') / 2.302585092994046 AS log10_e_harm,
       (x.reading ->> '$.log_e_adjusted') / 2.302585092994046 AS log10_e_adjusted,
       x.reading ->> '$.control_units' AS control_units, x.reading ->> '$.candidate_units' AS candidate_units,
       d.outcome, d.is_latest
FROM rampkeeper_v_decisions d
JOIN (
    SELECT l.decision_id, 'guardrail' AS role, g.value AS reading
    FROM rampkeeper_looks l, json_each(l.assessment, '$.guardrails') g
    UNION ALL
    SELECT l.decision_id, 'success', s.value FROM rampkeeper_looks l, json_each(l.assessment, '$.success') s
) x ON x.decision_id = d.decision_id;

-- One row per variant and stretch of constant shares; the stretch that lasts has no end.
CREATE VIEW rampkeeper_v_ramp_timeline AS
SELECT p.experiment_id, e.name AS experiment, p.number AS epoch, a.value ->> '$[0]' AS variant_id,
       coalesce(v.name, a.value ->> '$[0]') AS variant, a.value ->> '$[1]' AS share, p.started_at,
       CASE WHEN p.number < max(p.number) OVER (PARTITION BY p.experiment_id) THEN p.ended_at END AS ended_at,
       p.opened_by, p.moved_units
FROM rampkeeper_allocation_epochs p, json_each(p.allocations) a
LEFT JOIN exp_experiments e ON e.id = p.experiment_id
LEFT JOIN exp_variants v ON v.id = a.value ->> '$[0]';

-- Where every candidate stands, with its last decision.
CREATE VIEW rampkeeper_v_candidates AS
SELECT r.experiment_id, e.name AS experiment, e.status AS experiment_status, r.candidate_id,
       coalesce(v.name, d.candidate) AS candidate, r.status, r.stage + 1 AS stage, r.entered_on, v.allocation AS share,
       d.as_of AS decided_for, d.outcome AS last_outcome, d.reason AS last_reason, d.decision_id AS last_decision_id,
       d.control_units, d.candidate_units
FROM rampkeeper_rollouts r
LEFT JOIN exp_experiments e ON e.id = r.experiment_id
LEFT JOIN exp_variants v ON v.id = r.candidate_id
LEFT JOIN (
    SELECT *, row_number() OVER (PARTITION BY experiment_id, candidate_id ORDER BY as_of DESC) AS back
    FROM rampkeeper_v_decisions WHERE is_latest
) d ON d.experiment_id = r.experiment_id AND d.candidate_id = r.candidate_id AND d.back = 1;

-- Values that were not as decided.
CREATE VIEW rampkeeper_v_incidents AS
SELECT i.id AS incident_id, i.found_at, d.experiment, d.candidate, i.what, i.expected, i.found, i.advice,
       i.closed_at IS NULL AS is_open, i.closed_at, i.closed_because, i.decision_id, i.run_id
FROM rampkeeper_incidents i
LEFT JOIN rampkeeper_v_decisions d ON d.decision_id = i.decision_id;
