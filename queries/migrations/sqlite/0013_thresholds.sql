-- Thresholds that were frozen when a version came into an experiment, where the metrics file gives no number; append-only.
CREATE TABLE rampkeeper_thresholds (
    experiment_id TEXT NOT NULL,
    metric        TEXT NOT NULL,
    definition    TEXT NOT NULL,
    threshold     REAL NOT NULL,
    value         REAL NOT NULL,
    first_day     TEXT NOT NULL,
    last_day      TEXT NOT NULL,
    events        INTEGER NOT NULL,
    frozen_at     TEXT NOT NULL,
    PRIMARY KEY (experiment_id, metric, definition)
);
CREATE TRIGGER rampkeeper_thresholds_no_update BEFORE UPDATE ON rampkeeper_thresholds
BEGIN SELECT RAISE(ABORT, 'rampkeeper_thresholds is append-only: UPDATE refused'); END;
CREATE TRIGGER rampkeeper_thresholds_no_delete BEFORE DELETE ON rampkeeper_thresholds
BEGIN SELECT RAISE(ABORT, 'rampkeeper_thresholds is append-only: DELETE refused'); END;
