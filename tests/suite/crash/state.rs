//! Everything that a night leaves behind, as texts that can be compared: what follows from the evidence stays, what
//! follows from the instant or the name of a run is masked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::smtp::Mail;

/// A name and a text per table, alias list, page and mail.
pub type State = BTreeMap<String, String>;

/// A table's rows as JSON objects.
pub type Rows = Vec<Value>;

/// What the two stores call their tables, made one: `rampkeeper_runs` and `rampkeeper.runs`.
fn table<'a>(tables: &'a BTreeMap<String, Rows>, name: &str) -> &'a Rows {
    let found = tables.iter().find(|(table, _)| table.replacen('.', "_", 1) == name);
    found.map_or_else(|| panic!("no table {name}"), |(_, rows)| rows)
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

/// The tables as texts, after a look at what must hold in each of them whatever was killed.
pub fn of_tables(tables: &BTreeMap<String, Rows>) -> Result<State, String> {
    coherent(tables)?;
    let runs: Vec<&str> = table(tables, "rampkeeper_runs").iter().map(|row| text(row, "id")).collect();
    let mut state = State::new();
    // How many runs it took is what the kill changes.
    for (name, rows) in tables.iter().filter(|(name, _)| name.replacen('.', "_", 1) != "rampkeeper_runs") {
        let mut lines: Vec<String> = rows.iter().map(|row| line(row, &runs)).collect();
        lines.sort();
        state.insert(name.clone(), lines.join("\n"));
    }
    Ok(state)
}

/// A row without the hashes, which hold the run and its time, and without a mail, which is compared as it arrived; packed
/// moments as numbers, so that their last digits may differ as others' may.
fn line(row: &Value, runs: &[&str]) -> String {
    let mut row = row.clone();
    if let Value::Object(columns) = &mut row {
        let is_mail = columns.get("kind").is_some_and(|kind| kind == "mail");
        columns.retain(|column, _| match column.as_str() {
            "hash" | "previous_hash" => false,
            "payload" => !is_mail,
            _ => true,
        });
        if let Some(packed) = columns.get_mut("packed").filter(|packed| !packed.is_null()) {
            *packed = json!(numbers(packed.as_str().expect("bytes as digits")));
        }
    }
    masked(&row.to_string(), runs)
}

/// The numbers of packed moments, metric by metric: how many units if that changes, then its doubles.
fn numbers(digits: &str) -> String {
    let digits = digits.trim_start_matches("\\x").as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("a byte");
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    let mut left = bytes.as_slice();
    let mut take = |length| left.split_off(..length).expect("packed moments are whole");
    assert_eq!(take(1), [1], "a version of packed moments that is not known here");
    let metrics = u32::from_le_bytes(take(4).try_into().expect("four bytes"));
    let mut told = Vec::new();
    for _ in 0..metrics {
        let form = take(1)[0];
        let units = (form & 2 != 0).then(|| u64::from_le_bytes(take(8).try_into().expect("eight bytes")));
        let mut double = || f64::from_le_bytes(take(8).try_into().expect("eight bytes"));
        let doubles: Vec<f64> = (0..if form & 1 == 0 { 2 } else { 5 }).map(|_| double()).collect();
        told.push(format!("{units:?} {doubles:?}"));
    }
    assert!(left.is_empty(), "more than the moments: {} bytes", left.len());
    told.join("; ")
}

/// What no order of kills may break: the chain of decisions, the ends of epochs, the lease.
fn coherent(tables: &BTreeMap<String, Rows>) -> Result<(), String> {
    let mut decisions: Vec<&Value> = table(tables, "rampkeeper_decisions").iter().collect();
    decisions.sort_by_key(|row| row["position"].as_i64());
    let mut previous = "";
    for row in decisions {
        if text(row, "previous_hash") != previous {
            return Err(format!("the chain of decisions is broken at {row}"));
        }
        previous = text(row, "hash");
    }
    let epochs = table(tables, "rampkeeper_allocation_epochs");
    for epoch in epochs.iter().filter(|epoch| epoch["opened_by"] == "decision") {
        let number = epoch["number"].as_i64().unwrap_or_default();
        let before = epochs
            .iter()
            .find(|row| row["experiment_id"] == epoch["experiment_id"] && row["number"].as_i64() == Some(number - 1));
        if before.is_none_or(|before| before["ended_at"] != epoch["started_at"]) {
            return Err(format!("the epoch before does not end where this one begins: {epoch}"));
        }
    }
    match table(tables, "rampkeeper_leases").as_slice() {
        [] => Ok(()),
        held => Err(format!("a lease was left behind: {held:?}")),
    }
}

/// A text with every run's name and every instant of the night after the judged day masked, and its fractions to nine
/// digits: engines add up in no fixed order, so the last digits of a sum differ from run to run.
pub fn masked(text: &str, runs: &[&str]) -> String {
    let mut text = text.to_owned();
    for run in runs {
        text = text.replace(run, "RUN");
    }
    // As databases and JSON write instants, and as mails do.
    for (date, length) in [("2026-03-04T", 0), ("2026-03-04 ", 0), ("04 Mar 2026 ", 14)] {
        let mut rest = std::mem::take(&mut text);
        while let Some(at) = rest.find(date) {
            let after = &rest[at + date.len()..];
            let instant = |c: char| c.is_ascii_digit() || ":.+Z".contains(c);
            let end = if length > 0 { length } else { after.find(|c| !instant(c)).unwrap_or(after.len()) };
            text.push_str(&rest[..at]);
            text.push_str("TONIGHT");
            rest = after[end..].to_owned();
        }
        text.push_str(&rest);
    }
    rounded(&text)
}

/// The text with every decimal fraction to nine digits.
fn rounded(text: &str) -> String {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        told.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut end = rest.find(|c| !number(c)).unwrap_or(rest.len());
        let exponent = rest[end..].strip_prefix('e').map(|power| power.strip_prefix('-').unwrap_or(power));
        if let Some(power) = exponent.filter(|power| power.starts_with(|c: char| c.is_ascii_digit())) {
            end = rest.len() - power.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        }
        match rest[..end].parse::<f64>() {
            // What goes on in letters is a name.
            Ok(value) if rest[..end].contains('.') && !rest[end..].starts_with(|c: char| c.is_ascii_alphabetic()) => {
                told.push_str(&format!("{value:.8e}"))
            }
            _ => told.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    told.push_str(rest);
    told
}

const RESUMED: &str = "Done now, left over from an earlier night";

/// A page without the section on what a run took over from a killed one.
pub fn page(html: &str, runs: &[&str]) -> String {
    let mut html = html.to_owned();
    if let Some(at) = html.find(RESUMED) {
        // A row of a mail, a section of a page.
        let [row, section] = ["<tr>", "<section"].map(|tag| html[..at].rfind(tag));
        let (begin, after) = if row > section { (row, "</tr>\n") } else { (section, "</section>\n") };
        let begin = begin.unwrap_or(at);
        let end = html[at..].find(after).map_or(html.len(), |end| at + end + after.len());
        html.replace_range(begin..end, "");
    }
    masked(&without_times(&html), runs)
}

/// A page says when its night ran, and a run that ends a killed one's work runs later.
fn without_times(html: &str) -> String {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let mut parts = html.split(" UTC");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if told.is_char_boundary(told.len().saturating_sub(5)) {
            let time = told.len().saturating_sub(5);
            if told[time..].contains(':') && digits(&told[time..]) == 4 {
                told.truncate(time);
                told.push_str("HH:MM");
            }
        }
        told.push_str(" UTC");
        told.push_str(part);
    }
    told
}

/// A mail as its readers have it, without that section.
pub fn mail(mail: &Mail, runs: &[&str]) -> String {
    let part = |kind| mail.part(kind).and_then(|part| part.text.clone()).unwrap_or_default().replace("\r\n", "\n");
    let mut text = part("text/plain");
    if let Some(at) = text.find(&format!("\n{RESUMED}:\n")) {
        let end = text[at + 1..].find("\n\n").map_or(text.len(), |end| at + 1 + end + 1);
        text.replace_range(at..end, "");
    }
    let subject = mail.header("Subject").unwrap_or_default();
    let html = page(&part("text/html"), runs);
    format!("{:?}\n{subject}\n{}\n{html}", mail.to, masked(&text, runs))
}

/// The names of all runs, which masks need.
pub fn runs(tables: &BTreeMap<String, Rows>) -> Vec<String> {
    table(tables, "rampkeeper_runs").iter().map(|row| text(row, "id").to_owned()).collect()
}

/// Where two states differ, in as few words as serve.
pub fn difference(wanted: &State, found: &State) -> Option<String> {
    let names: std::collections::BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let mut told = String::new();
    for name in names {
        let (a, b) = (wanted.get(name), found.get(name));
        if a == b {
            continue;
        }
        let lines = |text: Option<&String>| -> Vec<String> {
            text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (a, b) = (lines(a), lines(b));
        told.push_str(&format!("{name}:\n"));
        for (sign, these, those) in [("-", &a, &b), ("+", &b, &a)] {
            for line in these.iter().filter(|line| !those.contains(line)).take(4) {
                told.push_str(&format!("  {sign} {}\n", line.chars().take(1_000).collect::<String>()));
            }
        }
    }
    (!told.is_empty()).then_some(told)
}
