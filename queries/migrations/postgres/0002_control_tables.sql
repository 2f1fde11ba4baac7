-- Rampkeeper's own tables: evidence, state, decisions and the journal.

CREATE SCHEMA IF NOT EXISTS rampkeeper;

-- One row per night that ran.
CREATE TABLE rampkeeper.runs (
    id            uuid PRIMARY KEY,
    as_of         date NOT NULL,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    config_digest text NOT NULL,
    summary       json
);

-- Periods of constant allocations. The experiment's first begins with it; an outside change opens one, too.
CREATE TABLE rampkeeper.allocation_epochs (
    experiment_id uuid NOT NULL,
    number        bigint NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    allocations   json NOT NULL,
    opened_by     text NOT NULL CHECK (opened_by IN ('start', 'decision', 'outside')),
    moved_units   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, number)
);

-- The events' day partitions that were found complete.
CREATE TABLE rampkeeper.partitions (
    date            date PRIMARY KEY,
    event_rows      bigint NOT NULL,
    latest_event_at timestamptz
);

-- Closed evidence, never changed. `definition` is the digest of the metrics' definitions. Data that were restated since
-- give a further revision, beside the one that was decided from.
CREATE TABLE rampkeeper.cohorts (
    experiment_id uuid NOT NULL,
    definition    text NOT NULL,
    cohort_date   date NOT NULL,
    epoch         bigint NOT NULL,
    variant_id    uuid NOT NULL,
    revision      bigint NOT NULL DEFAULT 0,
    moments       json NOT NULL,
    health        json NOT NULL,
    checksum      text NOT NULL,
    read_at       timestamptz NOT NULL,
    PRIMARY KEY (experiment_id, definition, cohort_date, epoch, variant_id, revision)
);

-- Through which date the cohorts of an experiment are closed.
CREATE TABLE rampkeeper.cohort_progress (
    experiment_id uuid NOT NULL,
    definition    text NOT NULL,
    through       date NOT NULL,
    PRIMARY KEY (experiment_id, definition)
);

-- Where each candidate stands. Every change is guarded by the version that it was computed from.
CREATE TABLE rampkeeper.rollouts (
    experiment_id uuid NOT NULL,
    candidate_id  uuid NOT NULL,
    status        text NOT NULL CHECK (status IN ('ramping', 'promoted', 'rolled_back', 'superseded')),
    stage         bigint NOT NULL,
    entered_on    date NOT NULL,
    version       bigint NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (experiment_id, candidate_id)
);

-- What was decided, append-only and hash-chained in the order of `position`.
CREATE TABLE rampkeeper.decisions (
    id            uuid PRIMARY KEY,
    position      bigint NOT NULL UNIQUE,
    run_id        uuid NOT NULL REFERENCES rampkeeper.runs,
    experiment_id uuid NOT NULL,
    candidate_id  uuid NOT NULL,
    as_of         date NOT NULL,
    revision      bigint NOT NULL,
    outcome       text NOT NULL,
    decision      json NOT NULL,
    inputs_digest text NOT NULL,
    decided_at    timestamptz NOT NULL,
    previous_hash text NOT NULL,
    hash          text NOT NULL UNIQUE,
    UNIQUE (experiment_id, candidate_id, as_of, revision)
);

CREATE FUNCTION rampkeeper.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'rampkeeper.% is append-only: % refused', TG_TABLE_NAME, TG_OP; END $$;
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rampkeeper.decisions
    FOR EACH STATEMENT EXECUTE FUNCTION rampkeeper.refuse_change();

-- What each decision saw: effects, bounds and verdicts.
CREATE TABLE rampkeeper.looks (
    decision_id uuid PRIMARY KEY REFERENCES rampkeeper.decisions,
    assessment  json NOT NULL
);

-- The journal: what is still to be done, and what was.
CREATE TABLE rampkeeper.actions (
    idempotency_key text PRIMARY KEY,
    decision_id     uuid REFERENCES rampkeeper.decisions,
    run_id          uuid NOT NULL REFERENCES rampkeeper.runs,
    position        bigint NOT NULL,
    kind            text NOT NULL,
    payload         json NOT NULL,
    status          text NOT NULL CHECK (status IN ('pending', 'done', 'failed')),
    attempts        bigint NOT NULL DEFAULT 0,
    last_error      text,
    not_before      timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX actions_open ON rampkeeper.actions (position) WHERE status <> 'done';

-- What readers are to be told of an experiment's night; committed with its decisions, so that no night goes untold.
CREATE TABLE rampkeeper.night_reports (
    run_id        uuid NOT NULL REFERENCES rampkeeper.runs,
    experiment_id uuid NOT NULL,
    as_of         date NOT NULL,
    report        json NOT NULL,
    told          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, experiment_id)
);
CREATE INDEX night_reports_by_date ON rampkeeper.night_reports (as_of);

-- Units taken from one arm to another, each with where it came from.
CREATE TABLE rampkeeper.assignment_moves (
    move_key      text NOT NULL,
    experiment_id uuid NOT NULL,
    unit_id       varchar(255) NOT NULL,
    from_variant  uuid NOT NULL,
    to_variant    uuid NOT NULL,
    moved_at      timestamptz NOT NULL,
    PRIMARY KEY (move_key, unit_id)
);

-- Who may act now.
CREATE TABLE rampkeeper.leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
);

-- The embedded model registry.
CREATE TABLE rampkeeper.registry_tags (
    model   text NOT NULL,
    version text NOT NULL,
    key     text NOT NULL,
    value   text NOT NULL,
    PRIMARY KEY (model, version, key)
);
CREATE TABLE rampkeeper.registry_aliases (
    model   text NOT NULL,
    alias   text NOT NULL,
    version text NOT NULL,
    PRIMARY KEY (model, alias)
);
