//! `analyze` as its users meet it: a file in, an answer or a clear refusal out.

use std::fs::{self, File};
use std::path::Path;

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series};
use serde_json::Value;
use tempfile::TempDir;

use crate::embedded::{Told, program, told};

/// A number between 0 and 1 that follows from its arguments alone (SplitMix64).
fn chance(unit: u64, salt: u64) -> f64 {
    let mut z = unit.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// One event of a unit; a unit has one to four.
struct Event {
    unit: u64,
    variant: &'static str,
    country: &'static str,
    before: f64,
    ordered: Option<i64>,
    cost: f64,
}

fn events(units: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for unit in 0..units {
        let variant = if chance(unit, 1) < 0.5 { "control" } else { "candidate" };
        let country = ["at", "de", "ch"][(unit % 3) as usize];
        let before = (10.0 * chance(unit, 2)).round();
        for event in 0..1 + unit % 4 {
            let ordered = (chance(unit, 3) > 0.01).then(|| i64::from(chance(unit, 10 + event) < 0.3));
            // Sums of quarters are exact, in whatever order they are taken.
            let cost = before + (40.0 * chance(unit, 20 + event)).floor() / 4.0;
            events.push(Event { unit, variant, country, before, ordered, cost });
        }
    }
    events
}

/// The same events as one row per unit.
fn per_unit(events: &[Event]) -> Vec<Event> {
    let mut units: Vec<Event> = Vec::new();
    for event in events {
        match units.last_mut().filter(|last| last.unit == event.unit) {
            Some(last) => {
                last.cost += event.cost;
                last.ordered = last.ordered.zip(event.ordered).map(|(a, b)| a + b);
            }
            None => units.push(Event { ..*event }),
        }
    }
    units
}

fn write_csv(path: &Path, rows: &[Event]) {
    let mut text = "user,variant,country,before,ordered,cost\n".to_owned();
    for Event { unit, variant, country, before, ordered, cost } in rows {
        let ordered = ordered.map_or(String::new(), |ordered| ordered.to_string());
        text.push_str(&format!("{unit},{variant},{country},{before},{ordered},{cost}\n"));
    }
    fs::write(path, text).unwrap();
}

fn write_parquet(path: &Path, rows: &[Event]) {
    let column = |series: Series| -> Column { series.into_column() };
    let columns = vec![
        column(Series::new("user".into(), rows.iter().map(|row| row.unit).collect::<Vec<_>>())),
        column(Series::new("variant".into(), rows.iter().map(|row| row.variant).collect::<Vec<_>>())),
        column(Series::new("country".into(), rows.iter().map(|row| row.country).collect::<Vec<_>>())),
        column(Series::new("before".into(), rows.iter().map(|row| row.before).collect::<Vec<_>>())),
        column(Series::new("ordered".into(), rows.iter().map(|row| row.ordered).collect::<Vec<_>>())),
        column(Series::new("cost".into(), rows.iter().map(|row| row.cost).collect::<Vec<_>>())),
    ];
    let mut frame = DataFrame::new(rows.len(), columns).unwrap();
    ParquetWriter::new(File::create(path).unwrap()).finish(&mut frame).unwrap();
}

async fn analyze(dir: &TempDir, arguments: &str) -> Told {
    let mut command = program(&["analyze"]);
    command.args(arguments.split_whitespace()).current_dir(dir.path());
    told(command).await
}

const QUESTION: &str = "--metric ordered --metric cost=cost/before:decrease --stratum country --margin 0.1";

/// Two answers to the same question, but for the file and for the last digits of sums taken in another order.
fn assert_same(left: &Value, right: &Value, but_for: &[&str]) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
            for (key, value) in left.iter().filter(|(key, _)| !but_for.contains(&key.as_str())) {
                assert_same(value, &right[key], but_for);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            assert_eq!(left.len(), right.len());
            left.iter().zip(right).for_each(|(left, right)| assert_same(left, right, but_for));
        }
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            assert!((left - right).abs() <= 1e-9 * left.abs().max(1e-6), "{left} is not {right}");
        }
        (left, right) => assert_eq!(left, right),
    }
}

#[tokio::test]
async fn csv_and_parquet_events_and_units_give_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (events, path) = (events(6_000), |name: &str| dir.path().join(name));
    let units = per_unit(&events);
    write_csv(&path("units.csv"), &units);
    write_parquet(&path("units.parquet"), &units);
    write_csv(&path("events.csv"), &events);
    write_parquet(&path("events.parquet"), &events);
    let answer = async |arguments: String| analyze(&dir, &format!("{arguments} --output json")).await.expect(0).json();
    let of_units = answer(format!("units.csv {QUESTION}")).await;
    assert_eq!(of_units["schema_version"], 1);
    assert_eq!(of_units["rows"], 6_000);
    assert_same(&of_units, &answer(format!("units.parquet {QUESTION}")).await, &["file"]);
    // The denominator is the same in every row of a unit, so events add it up as often as there are rows: ask for a mean.
    let question = "--metric ordered --metric cost:decrease --stratum country --covariate before --min-units 500";
    let of_units = answer(format!("units.parquet {question}")).await;
    for file in ["events.csv", "events.parquet"] {
        let of_events = answer(format!("{file} {question} --unit user")).await;
        assert_eq!(of_events["rows"], events.len());
        assert_same(&of_units, &of_events, &["file", "rows"]);
    }
    let result = &of_units["candidates"][0]["metrics"][0];
    for key in ["control", "candidate", "lift", "one_look", "anytime", "log_e_harm", "p_harm", "verdict", "theta"] {
        assert!(!result[key].is_null(), "{key} is missing in {result}");
    }
    assert!(result["control"]["missing"].as_u64().unwrap() > 0, "{result}");
    assert_eq!(of_units["candidates"][0]["split"]["mismatch"], false);
}

#[tokio::test]
async fn the_table_has_everything_that_the_json_has() {
    let dir = tempfile::tempdir().unwrap();
    write_csv(&dir.path().join("units.csv"), &per_unit(&events(6_000)));
    let told = analyze(&dir, "units.csv --metric ordered --metric cost:decrease --covariate before").await.expect(0);
    for words in [
        "units.csv: 6000 rows; candidate ",
        "candidate against control",
        "split as planned: ",
        "one look, 95 %",
        "any look",
        "e (harm)",
        "p (harm)",
        "verdict",
        "margin −5 %",
        "margin +5 %",
        "ordered: left out, units without a value: ",
        "from the whole file",
        "errs with at most 5 %",
    ] {
        assert!(told.out.contains(words), "{words:?} is not in\n{}", told.out);
    }
    assert!(told.out.lines().all(|line| line.chars().count() <= 120), "{}", told.out);
}

#[tokio::test]
async fn a_fault_of_the_file_ends_with_1_and_names_column_and_value() {
    let dir = tempfile::tempdir().unwrap();
    write_csv(&dir.path().join("units.csv"), &per_unit(&events(200)));
    write_parquet(&dir.path().join("units.parquet"), &per_unit(&events(200)));
    fs::write(dir.path().join("zipped.csv"), [0x1f, 0x8b, 8, 0]).unwrap();
    fs::write(dir.path().join("broken.parquet"), b"PAR1 and nothing behind it").unwrap();
    fs::write(dir.path().join("ragged.csv"), "variant,y\ncontrol,1\ncandidate,2,3,4\n").unwrap();
    fs::write(dir.path().join("latin.csv"), b"variant,y\ncontrol,1\nca\xe9,2\n").unwrap();
    for (arguments, words) in [
        ("nowhere.csv --metric y", "nowhere.csv: the file cannot be read\n  because: No such file"),
        (". --metric y", "this is a folder"),
        ("zipped.csv --metric y", "the file is compressed; unpack it first"),
        ("broken.parquet --metric y", "its columns cannot be read\n  because: "),
        ("ragged.csv --metric y", "it cannot be read to its end\n  because: "),
        ("latin.csv --metric y", "it cannot be read to its end\n  because: "),
        ("units.csv --metric order", "(did you mean \"ordered\"?); the columns are user, variant, country"),
        ("units.csv --metric country", "must hold numbers, but row 1 has \"at\""),
        ("units.parquet --metric country", "must hold numbers, but row 1 has \"at\""),
        ("units.parquet --metric cost --control kontrol", "(did you mean \"control\"?)"),
        ("units.parquet --metric cost --variant country --control de --covariate cost", "both --covariate and metric"),
        ("units.csv --metric cost --variant user --control 1", "has more than 100 different values"),
        ("units.csv --metric cost --split control=1,other=1", "the variants are candidate, control"),
        ("units.csv --metric cost --unit variant", "both --variant and --unit name column \"variant\""),
    ] {
        let told = analyze(&dir, arguments).await.expect(1);
        told.complains(words);
        assert!(told.err.starts_with("error: ") && told.out.is_empty(), "{arguments}: {}{}", told.err, told.out);
    }
}

#[tokio::test]
async fn a_fault_of_usage_ends_with_64() {
    let dir = tempfile::tempdir().unwrap();
    write_csv(&dir.path().join("units.csv"), &per_unit(&events(100)));
    for (arguments, words) in [
        ("units.csv", "--metric"),
        ("--metric y", "<FILE>"),
        ("units.csv --metric cost:up", ":increase or :decrease"),
        ("units.csv --metric cost --metric cost=before", "two metrics are called \"cost\""),
        ("units.csv --metric cost --margin 2", "strictly between 0 and 1"),
        ("units.csv --metric cost --margin price=0.1", "--margin names \"price\", but the metrics are cost"),
        ("units.csv --metric cost --alpha 0.7", "strictly between 0 and 0.5"),
        ("units.csv --metric cost --split control", "write control=0.9,candidate=0.1"),
        ("units.csv --metric cost --min-units 1", "2.."),
    ] {
        analyze(&dir, arguments).await.expect(64).complains(words);
    }
}

#[tokio::test]
async fn its_help_has_an_example_that_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let help = analyze(&dir, "--help").await.expect(0).out;
    let example = help.lines().find_map(|line| line.split("Example: rampkeeper analyze ").nth(1)).unwrap();
    analyze(&dir, example).await.expect(1).complains("the file cannot be read");
}

#[tokio::test]
async fn the_readme_shows_what_it_says() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split("## Look at a file of your own").nth(1).unwrap().split("\n## ").next().unwrap();
    let block = |language: &str| section.split(language).nth(1).unwrap().split("```").next().unwrap();
    let (script, command) = block("```sh\n").split_once("rampkeeper analyze ").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let made =
        tokio::process::Command::new("bash").args(["-euc", script]).current_dir(dir.path()).status().await.unwrap();
    assert!(made.success());
    let told = analyze(&dir, command).await.expect(0);
    for row in block("```text\n").lines() {
        assert!(told.out.contains(row), "not what it says: {row}\n{}", told.out);
    }
}
