-- Three users for PostgreSQL, each with what it needs and nothing beside. docs/grants.md says how to use them.
--
--   rampkeeper_migrate     owns the schema rampkeeper; `rampkeeper migrate` alone connects as this user
--   rampkeeper_control     every other command: reads experiments, writes what it decided
--   rampkeeper_warehouse   reads events and first exposures
--
-- For psql, as a superuser, in the database with the schema exp; once before `rampkeeper migrate`, and again after each:
--
--   psql --dbname app --file config/grants/postgres.sql
--
-- It may be repeated, and takes away what was granted to the three in these schemas before. More is granted on demand:
--
--   --set local_registry=1   with `registry: { local: {} }`: the embedded model registry
--   --set context=1          where a metric reads a key of `context`
--   --set payload=1          where a metric reads a key of `payload`
--   --set aggregates=1       with `warehouse.aggregates`: aggregates over events, in place of events and assignments
--   --set dashboards=1       a fourth user, rampkeeper_dashboards, who may read the views of docs/dashboards.md and nothing
--                            else; the views read with rampkeeper_migrate's rights, who owns them
--
-- `rampkeeper check` compares what its users may do with this very file.
\set ON_ERROR_STOP on
\set QUIET on

DO $$ BEGIN
    IF to_regrole('rampkeeper_migrate') IS NULL THEN CREATE ROLE rampkeeper_migrate LOGIN; END IF;
    IF to_regrole('rampkeeper_control') IS NULL THEN CREATE ROLE rampkeeper_control LOGIN; END IF;
    IF to_regrole('rampkeeper_warehouse') IS NULL THEN CREATE ROLE rampkeeper_warehouse LOGIN; END IF;
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO rampkeeper_migrate', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO rampkeeper_control, rampkeeper_warehouse', current_database());
    IF to_regnamespace('exp') IS NOT NULL THEN
        -- To see which of the experiment tables are there. Only where one is missing would it need CREATE as well.
        GRANT USAGE ON SCHEMA exp TO rampkeeper_migrate;
    END IF;
END $$;

\if :{?dashboards}
DO $$ BEGIN
    IF to_regrole('rampkeeper_dashboards') IS NULL THEN CREATE ROLE rampkeeper_dashboards LOGIN; END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO rampkeeper_dashboards', current_database());
END $$;
\endif

SELECT to_regnamespace('exp') IS NOT NULL AND to_regclass('rampkeeper.migrations') IS NOT NULL AS migrated \gset
\if :migrated

REVOKE ALL ON ALL TABLES IN SCHEMA exp, rampkeeper FROM rampkeeper_control, rampkeeper_warehouse;
REVOKE ALL ON SCHEMA exp, rampkeeper FROM rampkeeper_control, rampkeeper_warehouse;

-- The experiments: what a night reads, and the few columns that a decision changes.
GRANT USAGE ON SCHEMA exp TO rampkeeper_control;
GRANT SELECT (id, name, description, status, unit_type, start_at, end_at, created_at),
    UPDATE (description, status, unit_type, start_at, end_at),
    INSERT (id, name, description, status, unit_type, start_at, end_at, created_at, updated_at)
    ON exp.experiments TO rampkeeper_control;
GRANT SELECT (id, experiment_id, name, description, allocation, config, created_at),
    UPDATE (allocation, name, description, config),
    INSERT (id, experiment_id, name, description, allocation, config, created_at)
    ON exp.variants TO rampkeeper_control;
GRANT SELECT (experiment_id, unit_id, variant_id, assigned_at), UPDATE (variant_id, assigned_at)
    ON exp.assignments TO rampkeeper_control;

-- The way into an experiment: `policy sync`, `prompts sync`, `qualify`.
GRANT SELECT (id, name, description), UPDATE (description), INSERT (id, name, description)
    ON exp.policies TO rampkeeper_control;
GRANT SELECT (id, policy_id, version, mlflow_model_name, mlflow_model_version, config_defaults, status),
    UPDATE (mlflow_model_name, mlflow_model_version, config_defaults, status),
    INSERT (id, policy_id, version, mlflow_model_name, mlflow_model_version, config_defaults, status)
    ON exp.policy_versions TO rampkeeper_control;
GRANT SELECT (id, name, description), UPDATE (description), INSERT (id, name, description)
    ON exp.prompts TO rampkeeper_control;
GRANT SELECT (id, prompt_id, version, file_path, model_provider, model_name, config_defaults, status),
    UPDATE (file_path, model_provider, model_name, config_defaults, status),
    INSERT (id, prompt_id, version, file_path, model_provider, model_name, config_defaults, status)
    ON exp.prompt_versions TO rampkeeper_control;
GRANT SELECT (id, policy_version_id, dataset_version, status, plan_alignment_score, constraint_respect_score,
              edit_distance_score, diversity_score, leftovers_score, baseline_version_id, is_better_than_baseline,
              error_message, created_at),
    UPDATE (is_better_than_baseline)
    ON exp.offline_replay_results TO rampkeeper_control;

-- Events of its own are added. To see that one is there already, it reads their keys.
GRANT SELECT (id),
    INSERT (id, event_type, unit_type, unit_id, experiments, context, metrics, payload, timestamp, created_at)
    ON exp.events TO rampkeeper_control;

-- Its own tables. What is on record is added to, and never changed or removed.
GRANT USAGE ON SCHEMA rampkeeper TO rampkeeper_control;
GRANT SELECT ON rampkeeper.migrations TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.decisions TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.looks TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.cohorts TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.rules TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.amendments TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.acts TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.qualifications TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.enrolments TO rampkeeper_control;
GRANT SELECT, INSERT ON rampkeeper.thresholds TO rampkeeper_control;

-- Where things stand.
GRANT SELECT, INSERT, UPDATE (finished_at, summary) ON rampkeeper.runs TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (ended_at) ON rampkeeper.allocation_epochs TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (through) ON rampkeeper.cohort_progress TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (status, stage, entered_on, version, updated_at) ON rampkeeper.rollouts TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (status, attempts, last_error, updated_at) ON rampkeeper.actions TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (told) ON rampkeeper.night_reports TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (told_in) ON rampkeeper.route_notes TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (found, told_at, closed_at, closed_because) ON rampkeeper.incidents TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (value, action_key, written_at) ON rampkeeper.registry_writes TO rampkeeper_control;
-- A day that was restated; a unit that was assigned anew and is moved again.
GRANT SELECT, INSERT, UPDATE (event_rows, latest_event_at, content) ON rampkeeper.partitions TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (moved_at, assigned_at) ON rampkeeper.assignment_moves TO rampkeeper_control;

-- The lease is no record. Whoever holds it gives it back by removing its row.
GRANT SELECT, INSERT, UPDATE (holder, expires_at), DELETE ON rampkeeper.leases TO rampkeeper_control;

\if :{?local_registry}
GRANT SELECT, INSERT, UPDATE (value) ON rampkeeper.registry_tags TO rampkeeper_control;
GRANT SELECT, INSERT, UPDATE (version), DELETE ON rampkeeper.registry_aliases TO rampkeeper_control;
\endif

-- The warehouse: sums over these columns leave the database, and no row does.
GRANT USAGE ON SCHEMA exp TO rampkeeper_warehouse;
GRANT SELECT (experiment_id, unit_id, variant_id, assigned_at) ON exp.assignments TO rampkeeper_warehouse;
GRANT SELECT (event_type, unit_type, unit_id, timestamp, metrics) ON exp.events TO rampkeeper_warehouse;
\if :{?context}
GRANT SELECT (context) ON exp.events TO rampkeeper_warehouse;
\endif
\if :{?payload}
GRANT SELECT (payload) ON exp.events TO rampkeeper_warehouse;
\endif

\if :{?aggregates}
GRANT SELECT (experiment_id, variant_id, metric_name, bucket_type, bucket_start, count, sum, stddev)
    ON exp.metric_aggregates TO rampkeeper_warehouse;
\endif

\if :{?dashboards}
REVOKE ALL ON ALL TABLES IN SCHEMA exp, rampkeeper FROM rampkeeper_dashboards;
GRANT USAGE ON SCHEMA rampkeeper TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_decisions TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_looks TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_ramp_timeline TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_candidates TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_split TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_nights TO rampkeeper_dashboards;
GRANT SELECT ON rampkeeper.v_incidents TO rampkeeper_dashboards;
GRANT USAGE ON SCHEMA exp TO rampkeeper_dashboards;
-- What may not be there: somebody else's schema need not have these.
DO $$ DECLARE view text; BEGIN
    FOREACH view IN ARRAY ARRAY['rampkeeper.v_offline_against_online', 'exp.v_experiment_metrics',
        'exp.v_active_experiments', 'exp.v_policy_versions', 'exp.v_prompt_versions']
    LOOP
        IF to_regclass(view) IS NOT NULL THEN EXECUTE 'GRANT SELECT ON ' || view || ' TO rampkeeper_dashboards'; END IF;
    END LOOP;
END $$;

-- What the views read of the experiments.
GRANT SELECT (id, name, status) ON exp.experiments TO rampkeeper_migrate;
GRANT SELECT (id, name, allocation, config) ON exp.variants TO rampkeeper_migrate;
GRANT SELECT (id, name) ON exp.policies TO rampkeeper_migrate;
GRANT SELECT (id, policy_id, version, mlflow_model_name, mlflow_model_version) ON exp.policy_versions TO rampkeeper_migrate;
GRANT SELECT ON exp.offline_replay_results TO rampkeeper_migrate;
\endif

\else
\echo 'The users are there. Run `rampkeeper migrate` as rampkeeper_migrate, then this file again for the grants.'
\endif
