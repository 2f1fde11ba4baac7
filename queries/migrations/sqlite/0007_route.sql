-- The way into an experiment: what the offline gate said, who came in, and what readers are to be told of that.

-- Results of offline evaluations, which others write.
CREATE TABLE IF NOT EXISTS exp_offline_replay_results (
    id                       TEXT PRIMARY KEY,
    policy_version_id        TEXT NOT NULL REFERENCES exp_policy_versions ON DELETE CASCADE,
    dataset_version          TEXT NOT NULL,
    mlflow_run_id            TEXT,
    plan_alignment_score     TEXT,
    constraint_respect_score TEXT,
    edit_distance_score      TEXT,
    diversity_score          TEXT,
    leftovers_score          TEXT,
    baseline_version_id      TEXT REFERENCES exp_policy_versions,
    is_better_than_baseline  INTEGER,
    status                   TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    error_message            TEXT,
    created_at               TEXT NOT NULL
);

-- Each judgement of a version's offline results, with all that it was judged from; append-only.
CREATE TABLE rampkeeper_qualifications (
    id                TEXT PRIMARY KEY,
    position          INTEGER NOT NULL UNIQUE,
    policy_version_id TEXT NOT NULL,
    result_id         TEXT,
    verdict           TEXT NOT NULL CHECK (verdict IN ('passed', 'failed', 'unjudged')),
    judgement         TEXT NOT NULL,
    inputs_digest     TEXT NOT NULL,
    judged_at         TEXT NOT NULL,
    UNIQUE (policy_version_id, inputs_digest)
);
CREATE TRIGGER rampkeeper_qualifications_no_update BEFORE UPDATE ON rampkeeper_qualifications
BEGIN SELECT RAISE(ABORT, 'rampkeeper_qualifications is append-only: UPDATE refused'); END;
CREATE TRIGGER rampkeeper_qualifications_no_delete BEFORE DELETE ON rampkeeper_qualifications
BEGIN SELECT RAISE(ABORT, 'rampkeeper_qualifications is append-only: DELETE refused'); END;

-- Each version that became a variant, and the shares before and after; append-only.
CREATE TABLE rampkeeper_enrolments (
    id            TEXT PRIMARY KEY,
    position      INTEGER NOT NULL UNIQUE,
    experiment_id TEXT NOT NULL,
    variant_id    TEXT NOT NULL,
    version_kind  TEXT NOT NULL CHECK (version_kind IN ('policy', 'prompt')),
    version_id    TEXT NOT NULL,
    share         TEXT NOT NULL,
    detail        TEXT NOT NULL,
    enrolled_by   TEXT NOT NULL,
    reason        TEXT NOT NULL,
    enrolled_at   TEXT NOT NULL
);
CREATE TRIGGER rampkeeper_enrolments_no_update BEFORE UPDATE ON rampkeeper_enrolments
BEGIN SELECT RAISE(ABORT, 'rampkeeper_enrolments is append-only: UPDATE refused'); END;
CREATE TRIGGER rampkeeper_enrolments_no_delete BEFORE DELETE ON rampkeeper_enrolments
BEGIN SELECT RAISE(ABORT, 'rampkeeper_enrolments is append-only: DELETE refused'); END;

-- What the next report of an experiment tells of its route, once. `about` is the same for the same thing.
CREATE TABLE rampkeeper_route_notes (
    id            TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL,
    about         TEXT NOT NULL,
    line          TEXT NOT NULL,
    noted_at      TEXT NOT NULL,
    told_in       TEXT,
    UNIQUE (experiment_id, about)
);
