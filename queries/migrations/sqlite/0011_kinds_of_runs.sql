-- Whose a run is: a night's, or somebody's between two nights. Without it, an enrolment by hand would hide that a night is
-- missing.
ALTER TABLE rampkeeper_runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'night' CHECK (kind IN ('night', 'by_hand'));
UPDATE rampkeeper_runs SET kind = 'by_hand'
WHERE coalesce(summary -> '$.undone', summary -> '$.qualified', summary -> '$.enrolled') IS NOT NULL;
