//! The numbers of a decision: metrics, evidence, split, data.

use comfy_table::Cell;

use super::{EpochUnits, Explanation, Needed};
use crate::cli::output::table;
use crate::cli::shown::{Tone, clock, labelled, mark, painted, plain};
use crate::decide::{EValue, Finding, Rounded};
use crate::domain::{OnHarm, Rules, SuccessTest};
use crate::evidence::{PromotionLook, Reading, Verdict};

/// A row per guardrail and success metric.
pub(super) fn metrics(explanation: &Explanation) -> String {
    let assessment = &explanation.assessment;
    let mut rows = table(&["metric", "control → candidate", "effect", "e of harm", "verdict"]);
    let rules = explanation.rules.as_ref();
    let guardrails = assessment.guardrails.iter().map(|reading| (guardrail_role(reading, rules), reading));
    let success = assessment.success.iter().map(|reading| (success_role(reading, rules), reading));
    for (role, reading) in guardrails.chain(success) {
        let finding = Finding::from(reading);
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| Rounded(value).to_string());
        let (sign, tone) = mark(&reading.verdict);
        let mut verdict = vec![painted(&format!("{sign}\u{a0}{}", reading.verdict.word()), tone)];
        if let Verdict::Insufficient { why } = &reading.verdict {
            verdict.push(plain(&why.to_string()));
        }
        if reading.control_breaks_limit {
            verdict.push("control breaks it, too".to_owned());
        }
        let e = match (reading.log_e_harm, reading.log_e_adjusted) {
            (own, adjusted) if own == adjusted => EValue(own).to_string(),
            (own, adjusted) => format!("{}\nadjusted {}", EValue(own), EValue(adjusted)),
        };
        rows.add_row(vec![
            Cell::new(format!("{}\n{role}", plain(&reading.metric))),
            Cell::new(format!(
                "{} → {}\nn {} → {}",
                value(reading.control),
                value(reading.candidate),
                reading.control_units,
                reading.candidate_units
            )),
            Cell::new(format!("{}\n{}", finding.measured(), finding.limit())),
            Cell::new(e),
            Cell::new(verdict.join("\n")),
        ]);
    }
    format!("{rows}\n")
}

fn guardrail_role(reading: &Reading, rules: Option<&Rules>) -> &'static str {
    match rules.map(|rules| rules.policy.on_harm(&reading.metric)) {
        Some(OnHarm::Hold) => "guardrail, harm holds",
        Some(OnHarm::Warn) => "guardrail, harm warns",
        Some(OnHarm::Rollback) | None => "guardrail",
    }
}

fn success_role(reading: &Reading, rules: Option<&Rules>) -> &'static str {
    let metrics = rules.map(|rules| rules.policy.success.metrics.as_slice()).unwrap_or_default();
    match metrics.iter().find(|success| success.metric == reading.metric).map(|success| success.test) {
        Some(SuccessTest::Superior) => "success: to be better",
        Some(SuccessTest::NonInferior) => "success: to be no worse",
        None => "success",
    }
}

/// How strong the evidence is, and what it takes.
pub(super) fn evidence(explanation: &Explanation) -> String {
    let assessment = &explanation.assessment;
    let mut rows = Vec::new();
    let e = EValue(assessment.log_e_rollback);
    let rollback = match &explanation.needed {
        Some(needed) => format!(
            "average e-value {e}; rollback takes {} ({} / alpha), the way up is closed from {} on",
            Rounded(needed.rollback_e),
            candidates(needed),
            Rounded(needed.warn_e)
        ),
        None => format!("average e-value {e}"),
    };
    rows.push(("harm", rollback));
    let bound = explanation.needed.as_ref().and_then(|needed| needed.promotion_bound);
    rows.push(("promotion", look(assessment.promotion_look, bound)));
    rows.push(("split", split(explanation)));
    rows.push((
        "health",
        format!(
            "{} events; {} % of the units in two arms, {} values that are no numbers",
            assessment.events,
            Rounded(100.0 * assessment.multiple_exposure),
            assessment.not_numbers
        ),
    ));
    labelled(rows)
}

fn candidates(needed: &Needed) -> String {
    match needed.candidates {
        1 => "1 candidate".to_owned(),
        more => format!("{more} candidates"),
    }
}

fn look(look: PromotionLook, bound: Option<f64>) -> String {
    match (look, bound) {
        (PromotionLook::EveryNight, _) => "tested every night, by a confidence sequence".to_owned(),
        (PromotionLook::NotYet { night, first }, _) => {
            format!("planned looks begin with night {first}; this was night {night}")
        }
        (PromotionLook::Planned { look, of }, Some(bound)) if bound.is_finite() => {
            format!("planned look {look} of {of}; the bound is {} standard errors", Rounded(bound))
        }
        (PromotionLook::Planned { look, of }, _) => format!("planned look {look} of {of}, with nothing new to look at"),
        (PromotionLook::Over { max_nights }, _) => format!("the {max_nights} planned nights are over"),
    }
}

fn split(explanation: &Explanation) -> String {
    let Some(split) = &explanation.assessment.split else { return "no unit yet".to_owned() };
    let mut told = format!(
        "{} candidate units, planned {:.0}; e-value {}",
        split.candidate_units,
        split.planned_candidate_units,
        EValue(split.log_e)
    );
    if let Some(needed) = &explanation.needed {
        told.push_str(&format!(", mismatched from {} on", Rounded(needed.mismatch_e)));
    }
    if let Some(p) = split.chi_square_p {
        told.push_str(&format!(
            "; chi-square p {}",
            if p < 1e-4 { format!("{p:.1e}") } else { Rounded(p).to_string() }
        ));
    }
    if split.mismatch {
        told.push_str(&format!(" {}", painted("✗ mismatched", Tone::Bad)));
    }
    told
}

/// A row per allocation epoch.
pub(super) fn cohorts(explanation: &Explanation) -> String {
    let mut rows = table(&["epoch", "began", "shares", "closed days", "control", "candidate"]);
    for epoch in &explanation.cohorts {
        rows.add_row(vec![
            epoch_name(epoch),
            clock(epoch.started_at),
            format!("{} : {}", epoch.control_share, epoch.candidate_share),
            days(epoch),
            format!("{} units", epoch.control_units),
            format!("{} units", epoch.candidate_units),
        ]);
    }
    format!("{rows}\n")
}

fn epoch_name(epoch: &EpochUnits) -> String {
    let mut told = epoch.number.to_string();
    if epoch.outside {
        told.push_str("\nby somebody else");
    }
    if epoch.moved_units {
        told.push_str("\nunits moved");
    }
    told
}

fn days(epoch: &EpochUnits) -> String {
    let mut told = match (epoch.from, epoch.to) {
        (Some(from), Some(to)) => format!("{}: {from} to {to}", epoch.days),
        _ => "none".to_owned(),
    };
    if epoch.not_counting > 0 {
        told.push_str(&format!("\n{} do not count", epoch.not_counting));
    }
    told
}
