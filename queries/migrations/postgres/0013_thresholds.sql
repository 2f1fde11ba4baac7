-- Thresholds that were frozen when a version came into an experiment, where the metrics file gives no number; append-only.
CREATE TABLE rampkeeper.thresholds (
    experiment_id uuid NOT NULL,
    metric        text NOT NULL,
    definition    text NOT NULL,
    threshold     double precision NOT NULL,
    value         double precision NOT NULL,
    first_day     date NOT NULL,
    last_day      date NOT NULL,
    events        bigint NOT NULL,
    frozen_at     timestamptz NOT NULL,
    PRIMARY KEY (experiment_id, metric, definition)
);

CREATE TRIGGER thresholds_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rampkeeper.thresholds
    FOR EACH STATEMENT EXECUTE FUNCTION rampkeeper.refuse_change();
