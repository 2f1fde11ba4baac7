//! The same world in PostgreSQL, with JSON as the experiment tables have it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use polars::prelude::{DataFrame, ParquetReader, SerReader};
use rampkeeper::warehouse::{PostgresSettings, PostgresWarehouse, Tables};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::generate::{Facts, date_of, facts};
use crate::world::id;

/// Tables and indexes as the experiment platform makes them; what only writers need is left out.
const TABLES: &str = "
    DROP SCHEMA IF EXISTS exp CASCADE;
    CREATE SCHEMA exp;
    CREATE TABLE exp.assignments (id uuid NOT NULL, experiment_id uuid NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, variant_id uuid NOT NULL, assigned_at timestamptz DEFAULT now());
    CREATE TABLE exp.events (id uuid NOT NULL, event_type varchar(100) NOT NULL, unit_type varchar(50) NOT NULL,
        unit_id varchar(255) NOT NULL, experiments jsonb NOT NULL DEFAULT '[]', context jsonb NOT NULL DEFAULT '{}',
        metrics jsonb NOT NULL DEFAULT '{}', payload jsonb, timestamp timestamptz NOT NULL,
        created_at timestamptz DEFAULT now());
    CREATE TABLE exp.trials (experiment_id uuid, threshold double precision);
    CREATE TABLE exp.epochs (experiment_id uuid, epoch int, valid_from timestamptz, valid_to timestamptz);
";
const INDEXES: &str = "
    CREATE INDEX ON exp.events (event_type);
    CREATE INDEX ON exp.events (unit_type, unit_id);
    CREATE INDEX ON exp.events (timestamp);
    CREATE INDEX ON exp.events USING gin (experiments);
    ALTER TABLE exp.events ADD PRIMARY KEY (id);
    CREATE INDEX ON exp.assignments (unit_type, unit_id);
    CREATE INDEX ON exp.assignments (experiment_id);
    ALTER TABLE exp.assignments ADD PRIMARY KEY (id);
    ALTER TABLE exp.assignments ADD CONSTRAINT uq_assignments_experiment_unit UNIQUE (experiment_id, unit_id);
";

/// Collects from PostgreSQL as the job does it.
pub fn run(url: &str, root: &Path, night: bool, one_by_one: bool, out: Option<&Path>) -> anyhow::Result<()> {
    let settings = PostgresSettings {
        url: url.to_owned(),
        statement_timeout: Duration::from_secs(600),
        max_connections: 2,
        tables: Tables::of_schema("exp"),
    };
    let runtime = crate::runtime()?;
    let warehouse = runtime.block_on(PostgresWarehouse::connect(settings))?;
    crate::lake::collect(&runtime, &warehouse, &facts(root)?, night, one_by_one, out)
}

/// Copies a made-up lake into the tables and indexes them.
pub async fn load(url: &str, root: &Path) -> anyhow::Result<()> {
    let facts = facts(root)?;
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(TABLES).await?;
    for trial in &facts.trials {
        connection
            .execute(sqlx::query("INSERT INTO exp.trials VALUES ($1, $2)").bind(trial.id).bind(trial.threshold))
            .await?;
        for (epoch, from, to) in &trial.epochs {
            let insert = "INSERT INTO exp.epochs VALUES ($1, $2, to_timestamp($3 / 1e6), to_timestamp($4 / 1e6))";
            let insert = sqlx::query(insert).bind(trial.id).bind(*epoch as i32).bind(*from as f64).bind(*to as f64);
            connection.execute(insert).await?;
        }
    }
    for day in 0..facts.size.days {
        let lines = assignments(&facts, &read(root, "assignments", day)?)?;
        let copy = "COPY exp.assignments (id, experiment_id, unit_type, unit_id, variant_id, assigned_at) FROM STDIN";
        send(&mut connection, copy, lines).await?;
        let lines = events(&facts, &read(root, "events", day)?)?;
        let copy = "COPY exp.events (id, event_type, unit_type, unit_id, experiments, context, metrics, payload, \
                    timestamp, created_at) FROM STDIN";
        send(&mut connection, copy, lines).await?;
    }
    connection.execute(INDEXES).await?;
    connection.execute("VACUUM ANALYZE exp.events; VACUUM ANALYZE exp.assignments;").await.ok();
    connection.execute("ANALYZE").await?;
    println!("{} events in PostgreSQL", facts.events);
    Ok(())
}

async fn send(connection: &mut PgConnection, copy: &str, lines: String) -> anyhow::Result<()> {
    let mut stream = connection.copy_in_raw(copy).await?;
    for part in lines.as_bytes().chunks(1 << 20) {
        stream.send(part).await?;
    }
    stream.finish().await?;
    Ok(())
}

fn read(root: &Path, table: &str, day: i64) -> anyhow::Result<DataFrame> {
    let path = root.join(table).join(format!("date={}", date_of(day))).join("part-0.parquet");
    Ok(ParquetReader::new(std::fs::File::open(path)?).finish()?.align_chunks_par().clone())
}

fn assignments(facts: &Facts, frame: &DataFrame) -> anyhow::Result<String> {
    let text = |name: &str| anyhow::Ok(frame.column(name)?.str()?.clone());
    let (experiments, units, variants) = (text("experiment_id")?, text("unit_id")?, text("variant_id")?);
    let instants = frame.column("assigned_at")?.to_physical_repr().i64()?.clone();
    let mut lines = String::new();
    for row in 0..frame.height() {
        let (unit, at) = (units.get(row).unwrap_or_default(), instants.get(row).unwrap_or(0));
        let key = uuid::Uuid::new_v5(&facts.trials[0].id, unit.as_bytes());
        let (experiment, variant) = (experiments.get(row).unwrap_or_default(), variants.get(row).unwrap_or_default());
        writeln!(lines, "{key}\t{experiment}\tuser\t{unit}\t{variant}\t{}", instant(at))?;
    }
    Ok(lines)
}

fn events(facts: &Facts, frame: &DataFrame) -> anyhow::Result<String> {
    let text = |name: &str| anyhow::Ok(frame.column(name)?.str()?.clone());
    let (types, units) = (text("event_type")?, text("unit_id")?);
    let (experiments, variants) = (text("experiment_id")?, text("variant_id")?);
    let instants = frame.column("timestamp")?.to_physical_repr().i64()?.clone();
    let (ids, tokens) = (frame.column("event_id")?.i64()?.clone(), frame.column("token_count")?.i32()?.clone());
    let (latency, cost) = (frame.column("latency_ms")?.f64()?.clone(), frame.column("cost")?.f64()?.clone());
    let mut lines = String::new();
    for row in 0..frame.height() {
        let number = ids.get(row).unwrap_or(0);
        let (kind, unit) = (types.get(row).unwrap_or_default(), units.get(row).unwrap_or_default());
        let (experiment, variant) = (experiments.get(row).unwrap_or_default(), variants.get(row).unwrap_or_default());
        let key = id(facts.size.seed, "event", number.unsigned_abs());
        let at = instant(instants.get(row).unwrap_or(0));
        writeln!(
            lines,
            "{key}\t{kind}\tuser\t{unit}\t[{{\"experiment_id\": \"{experiment}\", \"variant_id\": \"{variant}\"}}]\t\
             {{\"policy_version_id\": \"{variant}\", \"app_version\": \"4.{}.{}\", \"session_id\": \"{:016x}\"}}\t\
             {{\"latency_ms\": {}, \"cost\": {}, \"token_count\": {}}}\t{{\"surface\": \"planner\", \"step\": {}}}\t{at}\t{at}",
            number % 7,
            number % 3,
            number.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            latency.get(row).unwrap_or(0.0),
            cost.get(row).unwrap_or(0.0),
            tokens.get(row).unwrap_or(0),
            number % 11,
        )?;
    }
    Ok(lines)
}

fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map(|at| at.to_string()).unwrap_or_default()
}
