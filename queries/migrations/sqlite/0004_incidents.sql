-- What was found otherwise than decided, what we wrote to the registry, and what an undone move must know.

-- One row per value that is not what a plan says. `subject` is how to look again; without one it is told once.
CREATE TABLE rampkeeper_incidents (
    id             TEXT PRIMARY KEY,
    run_id         TEXT NOT NULL,
    decision_id    TEXT,
    action_key     TEXT,
    what           TEXT NOT NULL,
    expected       TEXT NOT NULL,
    found          TEXT NOT NULL,
    advice         TEXT NOT NULL,
    subject        TEXT,
    found_at       TEXT NOT NULL,
    told_at        TEXT,
    closed_at      TEXT,
    closed_because TEXT
);
CREATE INDEX rampkeeper_incidents_open ON rampkeeper_incidents (found_at) WHERE closed_at IS NULL;

-- The value that Rampkeeper itself wrote last: what stands there unless somebody else changed it.
CREATE TABLE rampkeeper_registry_writes (
    model      TEXT NOT NULL,
    item       TEXT NOT NULL,
    value      TEXT NOT NULL,
    action_key TEXT NOT NULL,
    written_at TEXT NOT NULL,
    PRIMARY KEY (model, item)
);

-- When the assignment that was moved had been made: one that was made anew is not the one that was moved.
ALTER TABLE rampkeeper_assignment_moves ADD COLUMN assigned_at TEXT;
