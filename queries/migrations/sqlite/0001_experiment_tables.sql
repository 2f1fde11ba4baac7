-- The experiment tables, for the embedded store: what Rampkeeper reads or writes of them.

CREATE TABLE IF NOT EXISTS exp_experiments (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE CHECK (length(name) <= 255),
    description TEXT,
    status      TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'paused', 'completed')),
    unit_type   TEXT NOT NULL CHECK (unit_type IN ('user', 'household', 'session')),
    start_at    TEXT,
    end_at      TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS exp_variants (
    id            TEXT PRIMARY KEY,
    experiment_id TEXT NOT NULL REFERENCES exp_experiments ON DELETE CASCADE,
    name          TEXT NOT NULL,
    description   TEXT,
    allocation    TEXT NOT NULL CHECK (CAST(allocation AS REAL) BETWEEN 0 AND 1),
    config        TEXT NOT NULL DEFAULT '{}',
    created_at    TEXT NOT NULL,
    UNIQUE (experiment_id, name)
);

CREATE TABLE IF NOT EXISTS exp_assignments (
    experiment_id TEXT NOT NULL REFERENCES exp_experiments ON DELETE CASCADE,
    unit_type     TEXT NOT NULL,
    unit_id       TEXT NOT NULL,
    variant_id    TEXT NOT NULL REFERENCES exp_variants ON DELETE CASCADE,
    assigned_at   TEXT NOT NULL,
    PRIMARY KEY (experiment_id, unit_id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS exp_events (
    id          TEXT PRIMARY KEY,
    event_type  TEXT NOT NULL,
    unit_type   TEXT NOT NULL,
    unit_id     TEXT NOT NULL,
    experiments TEXT NOT NULL DEFAULT '[]',
    context     TEXT NOT NULL DEFAULT '{}',
    metrics     TEXT NOT NULL DEFAULT '{}',
    payload     TEXT NOT NULL DEFAULT '{}',
    timestamp   TEXT NOT NULL,
    created_at  TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS exp_policies (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT
);

CREATE TABLE IF NOT EXISTS exp_policy_versions (
    id                   TEXT PRIMARY KEY,
    policy_id            TEXT NOT NULL REFERENCES exp_policies ON DELETE CASCADE,
    version              INTEGER NOT NULL,
    mlflow_model_name    TEXT NOT NULL,
    mlflow_model_version TEXT NOT NULL,
    config_defaults      TEXT NOT NULL DEFAULT '{}',
    status               TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
    UNIQUE (policy_id, version)
);

CREATE TABLE IF NOT EXISTS exp_prompts (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT
);

CREATE TABLE IF NOT EXISTS exp_prompt_versions (
    id              TEXT PRIMARY KEY,
    prompt_id       TEXT NOT NULL REFERENCES exp_prompts ON DELETE CASCADE,
    version         INTEGER NOT NULL,
    file_path       TEXT NOT NULL,
    model_provider  TEXT,
    model_name      TEXT,
    config_defaults TEXT NOT NULL DEFAULT '{}',
    status          TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
    UNIQUE (prompt_id, version)
);
