-- The way into an experiment: what the offline gate said, who came in, and what readers are to be told of that.

-- Each judgement of a version's offline results, with all that it was judged from; append-only.
CREATE TABLE rampkeeper.qualifications (
    id                uuid PRIMARY KEY,
    position          bigint NOT NULL UNIQUE,
    policy_version_id uuid NOT NULL,
    result_id         uuid,
    verdict           text NOT NULL CHECK (verdict IN ('passed', 'failed', 'unjudged')),
    judgement         json NOT NULL,
    inputs_digest     text NOT NULL,
    judged_at         timestamptz NOT NULL,
    UNIQUE (policy_version_id, inputs_digest)
);

-- Each version that became a variant, and the shares before and after; append-only.
CREATE TABLE rampkeeper.enrolments (
    id            uuid PRIMARY KEY,
    position      bigint NOT NULL UNIQUE,
    experiment_id uuid NOT NULL,
    variant_id    uuid NOT NULL,
    version_kind  text NOT NULL CHECK (version_kind IN ('policy', 'prompt')),
    version_id    uuid NOT NULL,
    share         text NOT NULL,
    detail        json NOT NULL,
    enrolled_by   text NOT NULL,
    reason        text NOT NULL,
    enrolled_at   timestamptz NOT NULL
);

CREATE TRIGGER qualifications_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rampkeeper.qualifications
    FOR EACH STATEMENT EXECUTE FUNCTION rampkeeper.refuse_change();
CREATE TRIGGER enrolments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rampkeeper.enrolments
    FOR EACH STATEMENT EXECUTE FUNCTION rampkeeper.refuse_change();

-- What the next report of an experiment tells of its route, once. `about` is the same for the same thing.
CREATE TABLE rampkeeper.route_notes (
    id            uuid PRIMARY KEY,
    experiment_id uuid NOT NULL,
    about         text NOT NULL,
    line          text NOT NULL,
    noted_at      timestamptz NOT NULL,
    told_in       uuid,
    UNIQUE (experiment_id, about)
);
