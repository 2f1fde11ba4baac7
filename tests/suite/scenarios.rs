//! Decisions as an operator meets them. Each scenario is a YAML file that tells a story: the promotion file, the
//! experiment, what the data are like, the nights, and what people do between them. Beside it lies the golden text of
//! what the job decides, night by night, with every reason.
//!
//! The nights are real: the same [`rampkeeper::night::Night`] that `rampkeeper run` starts, on SQLite, with the embedded
//! registry. Only the warehouse is made up. It answers with the exact moments that the file describes, without noise, so
//! that a golden text tells of the rules and not of chance.
//!
//! After a change that is meant: `RAMPKEEPER_BLESS=1 cargo test --release --test suite scenarios` writes the golden texts
//! anew. Read what changes in them before you commit it.
//!
//! Beside the texts, this holds every decision of every scenario to the order of the gates (`gates.rs`), makes each again
//! from what was stored, and demands that the scenarios meet every reason, every outcome and every pair of gates.

mod coverage;
pub mod gates;
mod made_up;
mod play;
mod story;
mod telling;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use play::Played;

/// All scenarios, played once for all tests. A scenario that could not be played has its error instead.
static PLAYED: LazyLock<Vec<(String, Result<Played, String>)>> = LazyLock::new(play::all);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/scenarios")
}

/// The names of the files in the folder that end so, without the ending.
fn names(ending: &str) -> BTreeSet<String> {
    let entries = folder().read_dir().expect("the folder of the scenarios").map(|entry| entry.expect("an entry"));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

/// The first line on which two texts differ, with what each has there.
fn first_difference(expected: &str, found: &str) -> String {
    let mut lines = (1..).zip(expected.lines().map(Some).chain(std::iter::repeat(None)));
    let found = found.lines().map(Some).chain(std::iter::once(None));
    let differing = lines.by_ref().zip(found).find(|((_, expected), found)| expected != found);
    differing.map_or_else(String::new, |((line, expected), found)| {
        format!("line {line}\n    expected: {}\n    found:    {}", expected.unwrap_or("–"), found.unwrap_or("–"))
    })
}

#[test]
fn every_scenario_is_told_as_its_golden_text_tells_it() {
    let bless = std::env::var("RAMPKEEPER_BLESS").is_ok_and(|value| value == "1");
    let mut faults = Vec::new();
    for (name, played) in PLAYED.iter() {
        let told = match played {
            Ok(played) => &played.text,
            Err(why) => {
                faults.push(format!("{name}: {why}"));
                continue;
            }
        };
        let path = folder().join(format!("{name}.txt"));
        match std::fs::read_to_string(&path) {
            Ok(golden) if golden == *told => {}
            _ if bless => std::fs::write(&path, told).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            Ok(golden) => faults.push(format!("{name}.txt: {}", first_difference(&golden, told))),
            Err(error) => faults.push(format!("{name}.txt: {error}")),
        }
    }
    for stale in names(".txt").difference(&names(".yml")) {
        faults.push(format!("{stale}.txt: there is no {stale}.yml any more; delete the text, too"));
    }
    assert!(faults.is_empty(), "{}\n\n(RAMPKEEPER_BLESS=1 writes the texts anew)", faults.join("\n"));
}

#[test]
fn every_decision_keeps_the_order_of_the_gates_and_can_be_made_again() {
    let played = PLAYED.iter().filter_map(|(name, played)| Some((name, played.as_ref().ok()?)));
    let faults: Vec<String> =
        played.flat_map(|(name, played)| played.faults.iter().map(move |fault| format!("{name}: {fault}"))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_scenarios_meet_everything_that_can_be_decided() {
    let met = PLAYED.iter().filter_map(|(_, played)| played.as_ref().ok()).flat_map(|played| &played.met);
    let missing = coverage::missing(met);
    assert!(missing.is_empty(), "no scenario shows:\n{}", missing.join("\n"));
}
