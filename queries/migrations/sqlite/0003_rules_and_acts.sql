-- By which rules decisions were made, how the rules changed on the way, and what people told the job to do.

-- Policies with the metrics that they name, by the digest of their text.
CREATE TABLE rampkeeper_rules (
    digest TEXT PRIMARY KEY,
    rules  TEXT NOT NULL
);

-- The rules of each experiment from its first night on. `evidence_from` is the first day whose units count, where a change
-- made the evidence begin anew.
CREATE TABLE rampkeeper_amendments (
    experiment_id TEXT NOT NULL,
    number        INTEGER NOT NULL,
    as_of         TEXT NOT NULL,
    noted_at      TEXT NOT NULL,
    rules_digest  TEXT NOT NULL REFERENCES rampkeeper_rules,
    changes       TEXT NOT NULL,
    restarts      INTEGER NOT NULL DEFAULT 0,
    evidence_from TEXT,
    PRIMARY KEY (experiment_id, number)
);

-- What each decision was made from, beside the cohorts: with these it can be made again.
ALTER TABLE rampkeeper_looks ADD COLUMN basis TEXT;

-- Approvals, holds, rollbacks by hand: append-only, in the order of `position`.
CREATE TABLE rampkeeper_acts (
    id            TEXT PRIMARY KEY,
    position      INTEGER NOT NULL UNIQUE,
    experiment_id TEXT,
    candidate_id  TEXT,
    act           TEXT NOT NULL,
    said_by       TEXT NOT NULL,
    reason        TEXT NOT NULL,
    said_at       TEXT NOT NULL
);
CREATE TRIGGER rampkeeper_acts_no_update BEFORE UPDATE ON rampkeeper_acts
BEGIN SELECT RAISE(ABORT, 'rampkeeper_acts is append-only: UPDATE refused'); END;
CREATE TRIGGER rampkeeper_acts_no_delete BEFORE DELETE ON rampkeeper_acts
BEGIN SELECT RAISE(ABORT, 'rampkeeper_acts is append-only: DELETE refused'); END;
