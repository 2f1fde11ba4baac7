-- Whose a run is: a night's, or somebody's between two nights. Without it, an enrolment by hand would hide that a night is
-- missing.
ALTER TABLE rampkeeper.runs ADD COLUMN kind text NOT NULL DEFAULT 'night' CHECK (kind IN ('night', 'by_hand'));
UPDATE rampkeeper.runs SET kind = 'by_hand'
WHERE coalesce(summary -> 'undone', summary -> 'qualified', summary -> 'enrolled') IS NOT NULL;

-- One row per run that decided or told something, or that somebody began.
CREATE OR REPLACE VIEW rampkeeper.v_nights AS
SELECT r.id AS run_id, r.as_of, r.started_at, r.finished_at,
       extract(epoch FROM r.finished_at - r.started_at)::float8 AS seconds, count(d.id) AS decided,
       count(*) FILTER (WHERE d.outcome = 'rollback') AS rolled_back,
       count(*) FILTER (WHERE d.outcome = 'promote') AS promoted,
       count(*) FILTER (WHERE d.outcome = 'ramp') AS ramped,
       count(*) FILTER (WHERE d.outcome = 'hold') AS held,
       (SELECT count(*) FROM rampkeeper.actions a WHERE a.run_id = r.id AND a.status = 'pending') AS pending_steps,
       (SELECT count(*) FROM rampkeeper.actions a WHERE a.run_id = r.id AND a.status = 'failed') AS failed_steps,
       r.kind
FROM rampkeeper.runs r
LEFT JOIN rampkeeper.decisions d ON d.run_id = r.id
GROUP BY r.id, r.as_of, r.started_at, r.finished_at, r.kind;
