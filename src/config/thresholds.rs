//! Thresholds that are taken from the days before an experiment, frozen, and written into `metrics.yml`.
//!
//! A threshold that moved with the data would move what is compared. So it is a number in the file, put there once by
//! `rampkeeper freeze-thresholds`; the rest of the file stays as it is, comments and all.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::document::Document;
use crate::domain::Field;

/// Days that a threshold is taken from, unless told.
const DAYS: u16 = 14;

/// What a threshold is taken from: a percentile of the field over the days before the experiment, times a factor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeEntry {
    /// The percentile, such as 0.99.
    percentile: f64,
    /// What it is multiplied with, such as 1.1 for ten percent more; 1 unless told.
    times: Option<f64>,
    /// How many days are looked at; 14 unless told.
    #[schemars(range(min = 1, max = 90))]
    days: Option<u16>,
}

/// A threshold that says what it is taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct Freezable {
    /// The metric.
    pub metric: String,
    /// The event type.
    pub event: String,
    /// The field.
    pub field: Field,
    /// The percentile.
    pub percentile: f64,
    /// What it is multiplied with.
    pub times: f64,
    /// How many days are looked at.
    pub days: u16,
    /// The threshold, once it is frozen.
    pub frozen: Option<f64>,
    /// Whether it stands below the line of a ratio.
    pub below: bool,
    /// Where its `count_above` stands in the file.
    pointer: String,
}

impl Freezable {
    /// What it is to be taken from, as a text. Whoever changes that asks for another threshold.
    pub fn definition(&self) -> String {
        let Freezable { event, field, percentile, times, days, below, .. } = self;
        let line = if *below { "below" } else { "above" };
        format!("{line} the line: p{percentile} of {field} of {event:?}, times {times}, over {days} days")
    }
}

impl FreezeEntry {
    /// What it says of the threshold at that place, or why it cannot be.
    pub(super) fn resolve(
        &self,
        (metric, event, field): (&str, &str, &Field),
        frozen: Option<f64>,
        pointer: String,
    ) -> Result<Freezable, String> {
        let times = self.times.unwrap_or(1.0);
        if !(self.percentile > 0.0 && self.percentile < 1.0) {
            return Err(format!("a percentile lies between 0 and 1, such as 0.99, but this is {}", self.percentile));
        }
        if !(times.is_finite() && times > 0.0) {
            return Err(format!("`times` must be a positive number, but this is {times}"));
        }
        Ok(Freezable {
            metric: metric.to_owned(),
            event: event.to_owned(),
            field: field.clone(),
            percentile: self.percentile,
            times,
            days: self.days.unwrap_or(DAYS),
            frozen,
            below: pointer.ends_with("/denominator/count_above"),
            pointer,
        })
    }
}

/// The text of a metrics file with these thresholds in it.
///
/// # Errors
/// Where the file is written so that a number cannot simply be put there, with what to write by hand.
pub fn with_thresholds(path: &Path, text: &str, frozen: &[(&Freezable, f64)]) -> Result<String, String> {
    let mut written = text.to_owned();
    for (freezable, threshold) in frozen {
        let by_hand = || {
            let Freezable { metric, field, .. } = freezable;
            format!(
                "{} has no place where a number could simply be put; write `threshold: {threshold}` beside `field: {field}` of \
                 {metric} by hand",
                path.display()
            )
        };
        let after = with_threshold(path, &written, &freezable.pointer, *threshold).ok_or_else(by_hand)?;
        written = after;
    }
    Ok(written)
}

fn with_threshold(path: &Path, text: &str, pointer: &str, threshold: f64) -> Option<String> {
    let document = Document::parse(path, text).ok()?;
    let mut wanted = document.get("")?.clone();
    wanted.pointer_mut(pointer)?.as_object_mut()?.insert("threshold".to_owned(), Value::from(threshold));
    let written = match document.spot(&format!("{pointer}/threshold")) {
        Some(spot) => replaced(text, spot, threshold)?,
        None => inserted(text, document.spot(&format!("{pointer}/freeze"))?, threshold)?,
    };
    // Read again, it must be the old file with that number and nothing beside.
    let again = Document::parse(path, &written).ok()?;
    let same = |a: &Value, b: &Value| as_numbers(a) == as_numbers(b);
    same(again.get("")?, &wanted).then_some(written)
}

/// Whole numbers and others are the same in YAML.
fn as_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(as_numbers).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), as_numbers(value))).collect()),
        other => other.clone(),
    }
}

/// The place of a line and column, in bytes.
fn offset(text: &str, (line, column): (usize, usize)) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let within = text.get(start..)?.char_indices().nth(column.checked_sub(1)?).map_or(0, |(at, _)| at);
    Some(start + within)
}

fn replaced(text: &str, spot: (usize, usize), threshold: f64) -> Option<String> {
    let at = offset(text, spot)?;
    let value = at + text[at..].find(':')? + 1;
    let value = value + text[value..].find(|c: char| c != ' ')?;
    let end = value + text[value..].find([',', '}', ' ', '\n', '\r', '#']).unwrap_or(text.len() - value);
    Some(format!("{}{threshold}{}", &text[..value], &text[end..]))
}

fn inserted(text: &str, spot: (usize, usize), threshold: f64) -> Option<String> {
    let at = offset(text, spot)?;
    let before = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
    // Alone on its line it is a key of a block, else one of several between braces.
    let added = match before.chars().all(|c| c == ' ') {
        true => format!("threshold: {threshold}\n{before}"),
        false => format!("threshold: {threshold}, "),
    };
    Some(format!("{}{added}{}", &text[..at], &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# what is measured
metrics:
  slow: # by control's usual p99
    direction: decrease
    numerator: { event: plan, count_above: { field: latency_ms, freeze: { percentile: 0.99, times: 1.1 } } } # frozen
    denominator: { event: plan }
  dear:
    direction: decrease
    numerator:
      event: plan
      count_above:
        field: cost
        # the median
        freeze:
          percentile: 0.5
    denominator: { event: plan }
";

    fn of(metric: &str) -> Freezable {
        let pointer = format!("/metrics/{metric}/numerator/count_above");
        let entry = FreezeEntry { percentile: 0.99, times: None, days: None };
        entry.resolve((metric, "plan", &"cost".parse().unwrap()), None, pointer).unwrap()
    }

    #[test]
    fn a_threshold_is_written_once_and_nothing_else_changes() {
        let path = Path::new("metrics.yml");
        let (slow, dear) = (of("slow"), of("dear"));
        let written = with_thresholds(path, FILE, &[(&slow, 1874.0), (&dear, 0.0213)]).unwrap();
        let expected = FILE
            .replace("latency_ms, freeze", "latency_ms, threshold: 1874, freeze")
            .replace("        freeze:\n", "        threshold: 0.0213\n        freeze:\n");
        assert_eq!(written, expected);
        // Frozen anew, the number alone is another.
        let again = with_thresholds(path, &written, &[(&slow, 99.5), (&dear, 2.0)]).unwrap();
        assert_eq!(again, expected.replace("threshold: 1874", "threshold: 99.5").replace("0.0213", "2"));
    }

    #[test]
    fn where_no_number_can_be_put_it_is_told_what_to_write() {
        let split = FILE.replace("latency_ms, freeze", "latency_ms,\n      freeze");
        let refused = with_thresholds(Path::new("metrics.yml"), &split, &[(&of("slow"), 7.5)]).unwrap_err();
        assert!(refused.contains("write `threshold: 7.5` beside `field: metrics.cost` of slow by hand"), "{refused}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let field: Field = "cost".parse().unwrap();
        for (percentile, times) in [(0.0, 1.0), (1.0, 1.0), (99.0, 1.0), (0.9, 0.0), (0.9, f64::INFINITY)] {
            let entry = FreezeEntry { percentile, times: Some(times), days: None };
            assert!(entry.resolve(("m", "e", &field), None, String::new()).is_err(), "{percentile} {times}");
        }
    }
}
