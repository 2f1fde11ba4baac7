-- The experiment tables that Rampkeeper lives beside. Where one exists already it is left as it is, with its indexes and
-- triggers; a user who may only look into the schema can then run this.

DO $$ DECLARE view text; definition text; BEGIN
    IF to_regnamespace('exp') IS NULL THEN CREATE SCHEMA exp; END IF;

    IF to_regclass('exp.experiments') IS NULL THEN
        CREATE TABLE exp.experiments (
            id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name        varchar(255) NOT NULL UNIQUE,
            description text,
            status      varchar(20) NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'paused', 'completed')),
            unit_type   varchar(20) NOT NULL CHECK (unit_type IN ('user', 'household', 'session')),
            start_at    timestamptz,
            end_at      timestamptz,
            created_at  timestamptz NOT NULL DEFAULT now(),
            updated_at  timestamptz NOT NULL DEFAULT now()
        );
        CREATE FUNCTION exp.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.updated_at := now(); RETURN NEW; END';
        CREATE TRIGGER experiments_updated_at BEFORE UPDATE ON exp.experiments
            FOR EACH ROW EXECUTE FUNCTION exp.touch_updated_at();
    END IF;

    IF to_regclass('exp.variants') IS NULL THEN
        CREATE TABLE exp.variants (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            experiment_id uuid NOT NULL REFERENCES exp.experiments ON DELETE CASCADE,
            name          varchar(255) NOT NULL,
            description   text,
            allocation    decimal(5, 4) NOT NULL CHECK (allocation BETWEEN 0 AND 1),
            config        jsonb NOT NULL DEFAULT '{}',
            created_at    timestamptz NOT NULL DEFAULT now(),
            UNIQUE (experiment_id, name)
        );
    END IF;

    IF to_regclass('exp.assignments') IS NULL THEN
        CREATE TABLE exp.assignments (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            experiment_id uuid NOT NULL REFERENCES exp.experiments ON DELETE CASCADE,
            unit_type     varchar(20) NOT NULL,
            unit_id       varchar(255) NOT NULL,
            variant_id    uuid NOT NULL REFERENCES exp.variants ON DELETE CASCADE,
            assigned_at   timestamptz NOT NULL DEFAULT now(),
            UNIQUE (experiment_id, unit_id)
        );
        CREATE INDEX idx_assignments_experiment_time ON exp.assignments (experiment_id, assigned_at);
    END IF;

    IF to_regclass('exp.events') IS NULL THEN
        CREATE TABLE exp.events (
            id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            event_type  varchar(100) NOT NULL,
            unit_type   varchar(20) NOT NULL,
            unit_id     varchar(255) NOT NULL,
            experiments jsonb NOT NULL DEFAULT '[]',
            context     jsonb NOT NULL DEFAULT '{}',
            metrics     jsonb NOT NULL DEFAULT '{}',
            payload     jsonb NOT NULL DEFAULT '{}',
            timestamp   timestamptz NOT NULL,
            created_at  timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX idx_events_type ON exp.events (event_type);
        CREATE INDEX idx_events_unit ON exp.events (unit_type, unit_id);
        CREATE INDEX idx_events_timestamp ON exp.events (timestamp);
        CREATE INDEX idx_events_experiments ON exp.events USING gin (experiments);
        CREATE INDEX idx_events_session ON exp.events ((context ->> 'session_id'));
        CREATE INDEX idx_events_flow ON exp.events ((context ->> 'flow_id'));
    END IF;

    IF to_regclass('exp.metric_aggregates') IS NULL THEN
        CREATE TABLE exp.metric_aggregates (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            experiment_id uuid NOT NULL REFERENCES exp.experiments ON DELETE CASCADE,
            variant_id    uuid NOT NULL REFERENCES exp.variants ON DELETE CASCADE,
            metric_name   varchar(100) NOT NULL,
            bucket_type   varchar(10) NOT NULL CHECK (bucket_type IN ('hourly', 'daily')),
            bucket_start  timestamptz NOT NULL,
            count         bigint NOT NULL,
            sum           decimal(20, 6),
            mean          decimal(20, 6),
            min           decimal(20, 6),
            max           decimal(20, 6),
            stddev        decimal(20, 6),
            UNIQUE (experiment_id, variant_id, metric_name, bucket_type, bucket_start)
        );
    END IF;

    IF to_regclass('exp.policies') IS NULL THEN
        CREATE TABLE exp.policies (
            id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name        varchar(255) NOT NULL UNIQUE,
            description text
        );
    END IF;

    IF to_regclass('exp.policy_versions') IS NULL THEN
        CREATE TABLE exp.policy_versions (
            id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            policy_id            uuid NOT NULL REFERENCES exp.policies ON DELETE CASCADE,
            version              int NOT NULL,
            mlflow_model_name    varchar(255) NOT NULL,
            mlflow_model_version text NOT NULL,
            config_defaults      jsonb NOT NULL DEFAULT '{}',
            status               varchar(20) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
            UNIQUE (policy_id, version)
        );
    END IF;

    IF to_regclass('exp.prompts') IS NULL THEN
        CREATE TABLE exp.prompts (
            id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            name        varchar(255) NOT NULL UNIQUE,
            description text
        );
    END IF;

    IF to_regclass('exp.prompt_versions') IS NULL THEN
        CREATE TABLE exp.prompt_versions (
            id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            prompt_id       uuid NOT NULL REFERENCES exp.prompts ON DELETE CASCADE,
            version         int NOT NULL,
            file_path       text NOT NULL,
            model_provider  varchar(100),
            model_name      varchar(255),
            config_defaults jsonb NOT NULL DEFAULT '{}',
            status          varchar(20) NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
            UNIQUE (prompt_id, version)
        );
    END IF;

    IF to_regclass('exp.offline_replay_results') IS NULL THEN
        CREATE TABLE exp.offline_replay_results (
            id                        uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            policy_version_id         uuid NOT NULL REFERENCES exp.policy_versions ON DELETE CASCADE,
            dataset_version           text NOT NULL,
            mlflow_run_id             text,
            plan_alignment_score      decimal(10, 6),
            constraint_respect_score  decimal(10, 6),
            edit_distance_score       decimal(10, 6),
            diversity_score           decimal(10, 6),
            leftovers_score           decimal(10, 6),
            baseline_version_id       uuid REFERENCES exp.policy_versions,
            is_better_than_baseline   boolean,
            status                    varchar(20) NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
            error_message             text,
            created_at                timestamptz NOT NULL DEFAULT now()
        );
    END IF;

    -- A schema of somebody else's may want no views of ours, or have columns that they trip over: that is told, and no
    -- night needs them. Its owner may run this file, too.
    FOR view, definition IN VALUES
        ('v_experiment_metrics',
         'SELECT a.*, e.name AS experiment_name, v.name AS variant_name
          FROM exp.metric_aggregates a
          JOIN exp.experiments e ON e.id = a.experiment_id
          JOIN exp.variants v ON v.id = a.variant_id'),
        ('v_active_experiments',
         'SELECT e.*, count(v.id) AS variant_count, coalesce(sum(v.allocation), 0) AS total_allocation
          FROM exp.experiments e
          LEFT JOIN exp.variants v ON v.experiment_id = e.id
          WHERE e.status = ''active''
          GROUP BY e.id'),
        ('v_policy_versions',
         'SELECT v.*, p.name AS policy_name, p.description AS policy_description
          FROM exp.policy_versions v
          JOIN exp.policies p ON p.id = v.policy_id'),
        ('v_prompt_versions',
         'SELECT v.*, p.name AS prompt_name, p.description AS prompt_description
          FROM exp.prompt_versions v
          JOIN exp.prompts p ON p.id = v.prompt_id')
    LOOP
        IF to_regclass('exp.' || view) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE VIEW exp.%I AS %s', view, definition);
            EXCEPTION
                WHEN insufficient_privilege OR undefined_table OR undefined_column OR duplicate_column OR grouping_error THEN
                    RAISE WARNING 'the view exp.% is not made: %', view, SQLERRM;
            END;
        END IF;
    END LOOP;
END $$;
