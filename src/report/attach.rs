//! The night as files for machines: CSV and JSON, each of bounded size.

use serde_json::json;

use super::draft::AttachmentDraft;
use super::night::{CandidateReport, ExperimentReport, NightReport, Standing};
use super::view::MetricRow;
use super::words::Words;

/// The most bytes of one file; what is beyond is counted.
const MOST_BYTES: usize = 1024 * 1024;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A row per metric of each candidate.
    Csv,
    /// The night as `--output json` has it.
    Json,
}

/// The night as that file.
pub(super) fn attachment(kind: Attach, report: &NightReport) -> AttachmentDraft {
    let (ending, content_type, text) = match kind {
        Attach::Csv => ("csv", "text/csv; charset=utf-8; header=present", csv_of(report)),
        Attach::Json => ("json", "application/json; charset=utf-8", json_of(report)),
    };
    AttachmentDraft {
        filename: format!("rampkeeper-{}.{ending}", report.as_of),
        content_type: content_type.to_owned(),
        text,
    }
}

const HEAD: &str = "as_of,experiment,candidate,decision,outcome,why,share,metric,role,verdict,control,candidate_value,effect,\
                    interval_low,interval_high,bound,log_e_harm,control_units,candidate_units,decision_id";

/// A row per metric of each candidate, a row per experiment that failed. Numbers are unrounded.
pub fn csv_of(report: &NightReport) -> String {
    let mut text = format!("{HEAD}\r\n");
    for (at, experiment) in report.experiments.iter().enumerate() {
        let rows = rows_of(report, experiment);
        if text.len() + rows.len() > MOST_BYTES {
            let left = report.experiments.len() - at;
            text.push_str(&line(&[report.as_of.to_string(), format!("{left} more experiments are left out")]));
            break;
        }
        text.push_str(&rows);
    }
    text
}

fn rows_of(report: &NightReport, experiment: &ExperimentReport) -> String {
    let as_of = report.as_of.to_string();
    if experiment.candidates.is_empty() {
        let (word, why) = match &experiment.standing {
            Standing::Failed { why } => ("failed", why.clone()),
            Standing::Decided | Standing::AlreadyDecided => ("unchanged", String::new()),
        };
        return line(&[as_of, experiment.name.clone(), String::new(), String::new(), word.to_owned(), why]);
    }
    experiment.candidates.iter().map(|candidate| candidate_rows(&as_of, experiment, candidate)).collect()
}

fn candidate_rows(as_of: &str, experiment: &ExperimentReport, candidate: &CandidateReport) -> String {
    let why = candidate.decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let outcome = &candidate.decision.outcome;
    let head = [
        as_of.to_owned(),
        experiment.name.clone(),
        candidate.name.clone(),
        super::view::word_of(outcome, &Words::built_in()),
        outcome.word().to_owned(),
        why,
        candidate.share.as_f64().to_string(),
    ];
    let id = candidate.decision_id.map(|id| id.to_string()).unwrap_or_default();
    let assessment = &candidate.assessment;
    let guardrails = assessment.guardrails.iter().map(|reading| (reading, "guardrail"));
    let readings: Vec<_> = guardrails.chain(assessment.success.iter().map(|reading| (reading, "success"))).collect();
    if readings.is_empty() {
        let rest = ["", "", "", "", "", "", "", "", "", ""].map(str::to_owned);
        let units = [assessment.control_units.to_string(), assessment.candidate_units.to_string(), id];
        return line(&[&head[..], &rest[..], &units[..]].concat());
    }
    let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    let row = |(reading, role): (&crate::evidence::Reading, &str)| {
        let words = MetricRow::of(reading, role == "success", &Words::built_in());
        let rest = [
            reading.metric.clone(),
            role.to_owned(),
            reading.verdict.word().to_owned(),
            number(reading.control),
            number(reading.candidate),
            number(reading.effect),
            number(reading.interval.map(|i| i.low)),
            number(reading.interval.map(|i| i.high)),
            words.bound,
            reading.log_e_harm.to_string(),
            reading.control_units.to_string(),
            reading.candidate_units.to_string(),
            id.clone(),
        ];
        line(&[&head[..], &rest[..]].concat())
    };
    readings.into_iter().map(row).collect()
}

/// A line of CSV (RFC 4180).
fn line(fields: &[String]) -> String {
    let columns = HEAD.split(',').count();
    let padded = fields.iter().map(String::as_str).chain(std::iter::repeat("")).take(columns);
    let mut line = padded.map(field).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A field as a spreadsheet shows it and never runs it: what begins like a formula and is no number gets an apostrophe.
fn field(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }).collect();
    let formula = one_line
        .trim_start_matches(' ')
        .starts_with(['=', '+', '-', '@', '\t', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let text = if formula && one_line.parse::<f64>().is_err() { format!("'{one_line}") } else { one_line };
    if text.contains([',', '"', ' ', '\t', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The night as JSON, without the experiments that have no room.
fn json_of(report: &NightReport) -> String {
    let whole = serde_json::to_string_pretty(report).unwrap_or_default();
    if whole.len() <= MOST_BYTES {
        return whole;
    }
    let mut kept = Vec::new();
    let mut bytes = 0;
    for experiment in &report.experiments {
        bytes += serde_json::to_string_pretty(experiment).map_or(0, |text| text.len() + text.lines().count() * 4);
        if bytes > MOST_BYTES * 9 / 10 {
            break;
        }
        kept.push(experiment.clone());
    }
    let left_out = report.experiments.len() - kept.len();
    let mut value = json!(NightReport { experiments: kept, ..report.clone() });
    value["experiments_left_out"] = json!(left_out);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_never_a_formula_and_numbers_stay_numbers() {
        assert_eq!(field("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        for name in ["+1+1", "-x", "@sum", "\tx", " =x", "\u{ff1d}x"] {
            assert!(field(name).trim_start_matches('"').starts_with('\''), "{name}");
        }
        assert_eq!(field("-0.125"), "-0.125");
        assert_eq!(field("a,\"b\"\r\nc"), "\"a,\"\"b\"\"  c\"");
        assert_eq!(field("plain"), "plain");
    }
}
