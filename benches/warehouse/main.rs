//! What the warehouse side of a night costs, beside what others take for the same: `cargo bench --bench warehouse -- help`.

mod clickhouse;
mod compare;
mod generate;
mod lake;
mod postgres;
mod stored;
mod world;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use compare::{Contest, Entry};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what a night asks of a warehouse, each time beside something else that does the same.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench warehouse --")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a made-up lake of any size.
    Generate {
        /// The folder.
        root: PathBuf,
        /// About how many events.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        #[arg(long, default_value_t = 20)]
        experiments: usize,
        #[arg(long, default_value_t = 30)]
        days: i64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Collect the cohorts of a lake: of all days, or of the last one that closed.
    Lake {
        root: PathBuf,
        #[arg(long)]
        night: bool,
        /// Ask experiment by experiment.
        #[arg(long)]
        one_by_one: bool,
        /// Where to write the moments.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Measure the lake, or PostgreSQL, beside what others take (benches/peers), and print the ratios.
    Compare {
        /// A made-up lake.
        root: PathBuf,
        /// PostgreSQL with the same world; the lake if it is not given.
        #[arg(long)]
        postgres: Option<String>,
        /// The same server in the words of Python's client, where they differ.
        #[arg(long)]
        peer_postgres: Option<String>,
        /// The HTTP address of the first of two ClickHouse shards with the same world.
        #[arg(long, conflicts_with = "postgres")]
        clickhouse: Option<String>,
        /// A Python that has duckdb, polars and psycopg.
        #[arg(long, default_value = "python3")]
        python: String,
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Leave out what is never the best, and what takes minutes.
        #[arg(long)]
        quick: bool,
    },
    /// Copy a made-up lake into PostgreSQL, in a schema `exp` that is dropped before.
    LoadPostgres { url: String, root: PathBuf },
    /// Collect the cohorts from PostgreSQL.
    Postgres {
        url: String,
        root: PathBuf,
        #[arg(long)]
        night: bool,
        /// Ask experiment by experiment.
        #[arg(long)]
        one_by_one: bool,
        /// Where to write the moments.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Collect the cohorts from ClickHouse.
    Clickhouse {
        url: String,
        root: PathBuf,
        #[arg(long)]
        night: bool,
        /// The first experiment alone.
        #[arg(long)]
        one: bool,
        /// Where to write the moments.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Write a control store with the closed cohorts of many experiments.
    Store {
        root: PathBuf,
        #[arg(long, default_value_t = 1_000)]
        experiments: u64,
        #[arg(long, default_value_t = 20)]
        metrics: usize,
        #[arg(long, default_value_t = 4)]
        variants: usize,
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// Decide a night from such a store.
    Decide {
        root: PathBuf,
        #[arg(long, default_value_t = 90)]
        days: i64,
        /// Record the decisions, too.
        #[arg(long)]
        act: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Generate { root, events, experiments, days, seed } => {
            generate::generate(&root, world::Size { events, experiments, days, seed })
        }
        Command::Compare { root, postgres, peer_postgres, clickhouse, python, rounds, quick } => {
            println!("{}", compare::machine());
            match (postgres, clickhouse) {
                (Some(url), _) => {
                    let peer_url = peer_postgres.as_deref().unwrap_or(&url);
                    in_postgres(&root, (&url, peer_url), &python, rounds, quick)?.hold()
                }
                (None, Some(url)) => {
                    in_clickhouse(&root, &url, &python, rounds, true)?.hold()?;
                    if quick { Ok(()) } else { in_clickhouse(&root, &url, &python, rounds, false)?.hold() }
                }
                (None, None) => in_lake(&root, &python, rounds, quick)?.hold(),
            }
        }
        Command::LoadPostgres { url, root } => runtime()?.block_on(postgres::load(&url, &root)),
        Command::Postgres { url, root, night, one_by_one, out } => {
            postgres::run(&url, &root, night, one_by_one, out.as_deref())
        }
        Command::Clickhouse { url, root, night, one, out } => clickhouse::run(&url, &root, night, one, out.as_deref()),
        Command::Store { root, experiments, metrics, variants, days } => {
            runtime()?.block_on(stored::make(&root, stored::Scale { experiments, metrics, variants, days }))
        }
        Command::Decide { root, days, act } => runtime()?.block_on(stored::night(&root, days, act)),
        Command::Lake { root, night, one_by_one, out } => lake::run(&root, night, one_by_one, out.as_deref()),
    }
}

/// As the program has it.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn in_lake(root: &Path, python: &str, rounds: usize, quick: bool) -> anyhow::Result<Contest> {
    let facts = generate::facts(root)?;
    let me = std::env::current_exe()?.display().to_string();
    let (root, script) = (root.display().to_string(), concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/lake.py"));
    let peer = |engine: &str, night: &[&str]| words(&[&[python, script, engine, root.as_str()], night].concat());
    let own = |night: &[&str]| words(&[&[me.as_str(), "lake", root.as_str()], night].concat());
    let entry = |label, command, moments| Entry { label, command, moments: Some(moments) };
    let mut others = vec![
        entry("DuckDB, all days in one query", peer("duckdb", &[]), 0),
        entry("polars (Python), day by day", peer("polars-by-day", &[]), 0),
    ];
    if !quick {
        others.push(entry("DuckDB, day by day", peer("duckdb-by-day", &[]), 0));
        others.push(entry("polars (Python), all days in one plan", peer("polars", &[]), 0));
    }
    let measure = (0..others.len()).collect();
    others.extend([
        entry("Rampkeeper, all days", own(&[]), 0),
        entry("DuckDB, the new day", peer("duckdb", &["--night"]), 1),
        entry("polars (Python), the new day", peer("polars", &["--night"]), 1),
        entry("Rampkeeper, the new day", own(&["--night"]), 1),
    ]);
    Ok(Contest {
        title: format!(
            "Lake: {} events, {} experiments, 8 metrics, {} days",
            facts.events,
            facts.trials.len(),
            facts.size.days
        ),
        entries: others,
        measure,
        rounds,
    })
}

fn in_postgres(
    root: &Path,
    (url, peer_url): (&str, &str),
    python: &str,
    rounds: usize,
    quick: bool,
) -> anyhow::Result<Contest> {
    let facts = generate::facts(root)?;
    let me = std::env::current_exe()?.display().to_string();
    let (root, script) =
        (root.display().to_string(), concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/postgres.py"));
    let peer =
        |shape: &str, night: &[&str]| words(&[&[python, script, shape, peer_url, root.as_str()], night].concat());
    let own = |night: &[&str]| words(&[&[me.as_str(), "postgres", url, root.as_str()], night].concat());
    let entry = |label, command, moments| Entry { label, command, moments };
    let mut entries = vec![
        entry("SQL, analysed temporary table, all days", peer("temp", &[]), Some(0)),
        entry("SQL, one statement, all days", peer("cte", &[]), Some(0)),
        entry("Rampkeeper, all days", own(&[]), Some(0)),
        entry("SQL, analysed temporary table, the new day", peer("temp", &["--night"]), Some(1)),
        entry("SQL, one statement, the new day", peer("cte", &["--night"]), Some(1)),
        entry("Rampkeeper, the new day", own(&["--night"]), Some(1)),
    ];
    if quick {
        entries.retain(|entry| !entry.label.contains("one statement"));
    } else {
        entries.push(entry("one query per metric and experiment", peer("per-metric", &[]), None));
    }
    let title = format!("PostgreSQL: {} events in JSON, {} experiments, 8 metrics", facts.events, facts.trials.len());
    Ok(Contest { title, entries, measure: if quick { vec![0] } else { vec![0, 1] }, rounds })
}

/// Of the first experiment alone, as a night asks it, or of all one after another, beside one query for all.
fn in_clickhouse(root: &Path, url: &str, python: &str, rounds: usize, one: bool) -> anyhow::Result<Contest> {
    let facts = generate::facts(root)?;
    let me = std::env::current_exe()?.display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/clickhouse.py");
    let root = root.display().to_string();
    let of: &[&str] = if one { &["--one"] } else { &[] };
    let peer = |night: &[&str]| words(&[&[python, script, "hand", url, root.as_str()], of, night].concat());
    let own = |night: &[&str]| words(&[&[me.as_str(), "clickhouse", url, root.as_str()], of, night].concat());
    let entry = |label, command, moments| Entry { label, command, moments: Some(moments) };
    let entries = vec![
        entry("SQL by hand, all days", peer(&[]), 0),
        entry("Rampkeeper, all days", own(&[]), 0),
        entry("SQL by hand, the new day", peer(&["--night"]), 1),
        entry("Rampkeeper, the new day", own(&["--night"]), 1),
    ];
    let experiments = if one { 1 } else { facts.trials.len() };
    let title = format!("ClickHouse, two shards: {} events, {experiments} experiments, 8 metrics", facts.events);
    Ok(Contest { title, entries, measure: vec![0], rounds })
}
