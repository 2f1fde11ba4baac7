-- Rampkeeper's own tables: evidence, state, decisions and the journal.

-- One row per night that ran.
CREATE TABLE rampkeeper_runs (
    id            TEXT PRIMARY KEY,
    as_of         TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    finished_at   TEXT,
    config_digest TEXT NOT NULL,
    summary       TEXT
);

-- Periods of constant allocations. The experiment's first begins with it; an outside change opens one, too.
CREATE TABLE rampkeeper_allocation_epochs (
    experiment_id TEXT NOT NULL,
    number        INTEGER NOT NULL,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    allocations   TEXT NOT NULL,
    opened_by     TEXT NOT NULL CHECK (opened_by IN ('start', 'decision', 'outside')),
    moved_units   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, number)
);

-- The events' day partitions that were found complete.
CREATE TABLE rampkeeper_partitions (
    date            TEXT PRIMARY KEY,
    event_rows      INTEGER NOT NULL,
    latest_event_at TEXT
);

-- Closed evidence, never changed. `definition` is the digest of the metrics' definitions. Data that were restated since
-- give a further revision, beside the one that was decided from.
CREATE TABLE rampkeeper_cohorts (
    experiment_id TEXT NOT NULL,
    definition    TEXT NOT NULL,
    cohort_date   TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    variant_id    TEXT NOT NULL,
    revision      INTEGER NOT NULL DEFAULT 0,
    moments       TEXT NOT NULL,
    health        TEXT NOT NULL,
    checksum      TEXT NOT NULL,
    read_at       TEXT NOT NULL,
    PRIMARY KEY (experiment_id, definition, cohort_date, epoch, variant_id, revision)
);

-- through which date the cohorts of an experiment are closed.
CREATE TABLE rampkeeper_cohort_progress (
    experiment_id TEXT NOT NULL,
    definition    TEXT NOT NULL,
    through       TEXT NOT NULL,
    PRIMARY KEY (experiment_id, definition)
);

-- Where each candidate stands. Every change is guarded by the version that it was computed from.
CREATE TABLE rampkeeper_rollouts (
    experiment_id TEXT NOT NULL,
    candidate_id  TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('ramping', 'promoted', 'rolled_back', 'superseded')),
    stage         INTEGER NOT NULL,
    entered_on    TEXT NOT NULL,
    version       INTEGER NOT NULL,
    updated_at    TEXT NOT NULL,
    PRIMARY KEY (experiment_id, candidate_id)
);

-- What was decided, append-only and hash-chained in the order of `position`.
CREATE TABLE rampkeeper_decisions (
    id            TEXT PRIMARY KEY,
    position      INTEGER NOT NULL UNIQUE,
    run_id        TEXT NOT NULL REFERENCES rampkeeper_runs,
    experiment_id TEXT NOT NULL,
    candidate_id  TEXT NOT NULL,
    as_of         TEXT NOT NULL,
    revision      INTEGER NOT NULL,
    outcome       TEXT NOT NULL,
    decision      TEXT NOT NULL,
    inputs_digest TEXT NOT NULL,
    decided_at    TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash          TEXT NOT NULL UNIQUE,
    UNIQUE (experiment_id, candidate_id, as_of, revision)
);

CREATE TRIGGER rampkeeper_decisions_no_update BEFORE UPDATE ON rampkeeper_decisions
BEGIN SELECT RAISE(ABORT, 'rampkeeper_decisions is append-only: UPDATE refused'); END;
CREATE TRIGGER rampkeeper_decisions_no_delete BEFORE DELETE ON rampkeeper_decisions
BEGIN SELECT RAISE(ABORT, 'rampkeeper_decisions is append-only: DELETE refused'); END;

-- What each decision saw: effects, bounds and verdicts.
CREATE TABLE rampkeeper_looks (
    decision_id TEXT PRIMARY KEY REFERENCES rampkeeper_decisions,
    assessment  TEXT NOT NULL
);

-- The journal: what is still to be done, and what was.
CREATE TABLE rampkeeper_actions (
    idempotency_key TEXT PRIMARY KEY,
    decision_id     TEXT REFERENCES rampkeeper_decisions,
    run_id          TEXT NOT NULL REFERENCES rampkeeper_runs,
    position        INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    payload         TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'done', 'failed')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    last_error      TEXT,
    not_before      TEXT,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
);
CREATE INDEX actions_open ON rampkeeper_actions (position) WHERE status <> 'done';

-- What readers are to be told of an experiment's night; committed with its decisions, so that no night goes untold.
CREATE TABLE rampkeeper_night_reports (
    run_id        TEXT NOT NULL REFERENCES rampkeeper_runs,
    experiment_id TEXT NOT NULL,
    as_of         TEXT NOT NULL,
    report        TEXT NOT NULL,
    told          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, experiment_id)
);
CREATE INDEX rampkeeper_night_reports_by_date ON rampkeeper_night_reports (as_of);

-- Units taken from one arm to another, each with where it came from.
CREATE TABLE rampkeeper_assignment_moves (
    move_key      TEXT NOT NULL,
    experiment_id TEXT NOT NULL,
    unit_id       TEXT NOT NULL,
    from_variant  TEXT NOT NULL,
    to_variant    TEXT NOT NULL,
    moved_at      TEXT NOT NULL,
    PRIMARY KEY (move_key, unit_id)
);

-- Who may act now.
CREATE TABLE rampkeeper_leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

-- The embedded model registry.
CREATE TABLE rampkeeper_registry_tags (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (model, version, key)
);
CREATE TABLE rampkeeper_registry_aliases (
    model   TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (model, alias)
);
