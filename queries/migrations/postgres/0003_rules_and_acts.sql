-- By which rules decisions were made, how the rules changed on the way, and what people told the job to do.

-- Policies with the metrics that they name, by the digest of their text.
CREATE TABLE rampkeeper.rules (
    digest text PRIMARY KEY,
    rules  json NOT NULL
);

-- The rules of each experiment from its first night on. `evidence_from` is the first day whose units count, where a change
-- made the evidence begin anew.
CREATE TABLE rampkeeper.amendments (
    experiment_id uuid NOT NULL,
    number        bigint NOT NULL,
    as_of         date NOT NULL,
    noted_at      timestamptz NOT NULL,
    rules_digest  text NOT NULL REFERENCES rampkeeper.rules,
    changes       json NOT NULL,
    restarts      bigint NOT NULL DEFAULT 0,
    evidence_from date,
    PRIMARY KEY (experiment_id, number)
);

-- What each decision was made from, beside the cohorts: with these it can be made again.
ALTER TABLE rampkeeper.looks ADD COLUMN basis json;

-- Approvals, holds, rollbacks by hand: append-only, in the order of `position`.
CREATE TABLE rampkeeper.acts (
    id            uuid PRIMARY KEY,
    position      bigint NOT NULL UNIQUE,
    experiment_id uuid,
    candidate_id  uuid,
    act           json NOT NULL,
    said_by       text NOT NULL,
    reason        text NOT NULL,
    said_at       timestamptz NOT NULL
);
CREATE TRIGGER acts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rampkeeper.acts
    FOR EACH STATEMENT EXECUTE FUNCTION rampkeeper.refuse_change();
