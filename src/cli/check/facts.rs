//! Custom facts: each one's SQL dry-run on the engine, its columns compared with what metrics read, some of its rows looked at.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use jiff::civil::Date;

use super::Asked;
use super::finding::{Area, Finding, PATIENCE, State, in_one_line, some_of};
use crate::config::Config;
use crate::domain::{Fact, Measure, Metric};
use crate::warehouse::{Examine, FactFault, FactLook, FactSample, WarehouseError};

const AREA: Area = Area::Metrics;

/// What is to be said of the facts, and the names of those that cannot be read.
pub(super) async fn findings(
    asked: &Asked<'_>,
    warehouse: &dyn Examine,
    newest: Option<Date>,
) -> (Vec<Finding>, BTreeSet<String>) {
    let mut used: BTreeMap<&Fact, BTreeSet<String>> = BTreeMap::new();
    for measure in asked.config.metrics.values().flat_map(Metric::measures) {
        if let Some(fact) = measure.of.fact() {
            let columns = used.entry(fact).or_default();
            columns.extend(measure.value.field().map(|field| field.key.clone()));
        }
    }
    let looks = used.iter().map(|(fact, columns)| look(asked, warehouse, (fact, columns), newest));
    let (mut findings, mut faulty) = (Vec::new(), BTreeSet::new());
    for (fact, found) in used.keys().zip(join_all(looks).await) {
        if found.iter().any(|finding| finding.state == State::Fail) {
            faulty.insert(fact.name.clone());
        }
        findings.extend(found);
    }
    (findings, faulty)
}

async fn look(
    asked: &Asked<'_>,
    warehouse: &dyn Examine,
    (fact, columns): (&Fact, &BTreeSet<String>),
    newest: Option<Date>,
) -> Vec<Finding> {
    let (what, path) = (format!("fact {}", fact.name), path(asked.config, fact));
    let columns: Vec<String> = columns.iter().cloned().collect();
    let day = newest.unwrap_or(asked.as_of);
    let found = tokio::time::timeout(PATIENCE, warehouse.look_at_fact(fact, &columns, day)).await;
    let found = match found {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let line = match &error {
                WarehouseError::FactRefused { line: Some(line), .. } => format!(":{line}"),
                _ => String::new(),
            };
            let detail = format!("{path}{line}: {}", in_one_line(&error.into()));
            return vec![Finding::fail(AREA, what, detail, "correct the SQL, or grant SELECT on what it reads")];
        }
        Err(_) => {
            let detail = format!("{path}: no answer within {} s", PATIENCE.as_secs());
            let mend = "make it faster, such as by an index on the column that gives `timestamp`";
            return vec![Finding::warn(AREA, what, detail, mend)];
        }
    };
    let FactLook { columns: gives, faults, sample } = found;
    if !faults.is_empty() {
        let told = faults.into_iter().map(|fault| wrong(asked.config, fact, &path, fault));
        return told.collect();
    }
    let mut findings: Vec<Finding> = sample.iter().flat_map(|sample| amiss(&what, &path, sample, day)).collect();
    if findings.is_empty() {
        let gives: Vec<String> = gives.iter().map(|(name, held)| told(name, held)).collect();
        let rows = match (&sample, newest) {
            (Some(sample), Some(_)) => format!("; looked at {} rows of {day}", sample.rows),
            _ => String::new(),
        };
        findings.push(Finding::ok(AREA, what, format!("{path} gives {}{rows}", gives.join(", "))));
    }
    findings
}

/// A column with its type, where the engine tells one.
fn told(name: &str, held: &str) -> String {
    if held.is_empty() || held == "NULL" { name.to_owned() } else { format!("{name} ({held})") }
}

/// A wrong column: in the SQL, and where a metric names it, there.
fn wrong(config: &Config, fact: &Fact, path: &str, fault: FactFault) -> Finding {
    let reading = config.metrics.values().find_map(|metric| {
        let reads = |measure: &&Measure| {
            measure.of.fact() == Some(fact) && measure.value.field().is_some_and(|field| field.key == fault.column)
        };
        metric.measures().find(reads).map(|measure| super::metrics::place(config, metric, Some(measure)))
    });
    let read = reading.map_or_else(String::new, |place| format!(", which {place} reads"));
    Finding::fail(AREA, format!("fact {}", fact.name), format!("{path}: {}{read}", fault.wrong), fault.mend)
}

/// What the rows that were looked at say against the fact.
fn amiss(what: &str, path: &str, sample: &FactSample, day: Date) -> Vec<Finding> {
    let FactSample { rows, without_unit, undated, .. } = sample;
    let mut findings = Vec::new();
    if *undated > 0 {
        let detail = format!("{path}: `timestamp` is no instant in {undated} of some rows; they count nowhere");
        findings.push(Finding::fail(AREA, what, detail, "write instants such as 2026-01-05T12:00:00Z"));
    }
    if *without_unit > 0 {
        let detail =
            format!("{path}: `unit_id` is null in {without_unit} of {rows} rows of {day}; they count for nobody");
        findings.push(Finding::warn(AREA, what, detail, "leave them out, or mend what writes them"));
    }
    findings
}

/// SQL files that no metric reads.
pub(super) fn unused(config: &Config) -> Option<Finding> {
    let folder = config.facts_folder();
    let files = std::fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let names: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !config.facts.contains_key(name))
        .collect();
    if names.is_empty() {
        return None;
    }
    let detail = format!("{}: no metric reads {}", folder.display(), some_of(&names.into_iter().collect::<Vec<_>>()));
    let mend = "name it in metrics.yml as `fact`, or take the file away";
    Some(Finding::warn(Area::Configuration, "unused facts", detail, mend))
}

/// Where a fact's SQL stands.
fn path(config: &Config, fact: &Fact) -> String {
    config.facts.get(&fact.name).map_or_else(|| fact.name.clone(), |path| path.display().to_string())
}
