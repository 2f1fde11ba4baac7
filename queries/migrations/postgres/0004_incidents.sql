-- What was found otherwise than decided, what we wrote to the registry, and what an undone move must know.

-- One row per value that is not what a plan says. `subject` is how to look again; without one it is told once.
CREATE TABLE rampkeeper.incidents (
    id             uuid PRIMARY KEY,
    run_id         uuid NOT NULL,
    decision_id    uuid,
    action_key     text,
    what           text NOT NULL,
    expected       text NOT NULL,
    found          text NOT NULL,
    advice         text NOT NULL,
    subject        json,
    found_at       timestamptz NOT NULL,
    told_at        timestamptz,
    closed_at      timestamptz,
    closed_because text
);
CREATE INDEX incidents_open ON rampkeeper.incidents (found_at) WHERE closed_at IS NULL;

-- The value that Rampkeeper itself wrote last: what stands there unless somebody else changed it.
CREATE TABLE rampkeeper.registry_writes (
    model      text NOT NULL,
    item       text NOT NULL,
    value      text NOT NULL,
    action_key text NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (model, item)
);

-- When the assignment that was moved had been made: one that was made anew is not the one that was moved.
ALTER TABLE rampkeeper.assignment_moves ADD COLUMN assigned_at timestamptz;
