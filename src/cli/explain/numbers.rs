//! The numbers of a decision: metrics, evidence, split, data.

use comfy_table::Cell;

use super::{EpochUnits, Explanation, Needed};
use crate::cli::output::{keep_whole, table};
use crate::cli::shown::{Tone, clock, labelled, mark, marked, painted, plain, tight, whole};
use crate::decide::{EValue, Finding, Rounded};
use crate::domain::{OnHarm, Rules, SuccessTest};
use crate::evidence::{Adjustment, Covariate, PromotionLook, Reading, Unadjusted, Verdict};

/// A row per guardrail and success metric.
pub(super) fn metrics(explanation: &Explanation) -> String {
    let assessment = &explanation.assessment;
    let mut rows = table(&["metric", "control → candidate", "effect", "e of harm"]);
    let rules = explanation.rules.as_ref();
    let guardrails = assessment.guardrails.iter().map(|reading| (guardrail_role(reading, rules), true, reading));
    let success = assessment.success.iter().map(|reading| (success_role(reading, rules), false, reading));
    for (role, guards, reading) in guardrails.chain(success) {
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| Rounded(value).to_string());
        let values = format!("{} → {}", value(reading.control), value(reading.candidate));
        let units = format!("n {} → {}", reading.control_units, reading.candidate_units);
        let e = match (reading.log_e_harm, reading.log_e_adjusted) {
            (own, adjusted) if own == adjusted || !guards => EValue(own).to_string(),
            (own, adjusted) => format!("{}\n{}", EValue(own), whole(&format!("adj. {}", EValue(adjusted)))),
        };
        rows.add_row(vec![
            Cell::new(metric(reading, role)),
            Cell::new(format!("{values}\n{units}")),
            Cell::new(effect(reading)),
            Cell::new(e),
        ]);
    }
    keep_whole(&mut rows, &[0, 1]);
    format!("{rows}\n")
}

/// Its name and verdict, what it is for, and what it must stay clear of.
fn metric(reading: &Reading, role: &str) -> String {
    let tone = mark(&reading.verdict).1;
    let verdict = painted(reading.verdict.word(), tone);
    let limit = tight(&Finding::from(reading).limit());
    format!("{}\n{verdict}; {role}\n{limit}", marked(reading))
}

/// The estimate, and under it the interval or why there is none.
fn effect(reading: &Reading) -> String {
    let mut lines: Vec<String> = Vec::new();
    let measured = Finding::from(reading).measured();
    match measured.split_once(" [") {
        Some((effect, interval)) => lines.extend([effect.to_owned(), format!("[{interval}")]),
        None => lines.push(measured),
    }
    if let Verdict::Insufficient { why } = &reading.verdict {
        lines.push(plain(&why.to_string()));
    }
    if reading.control_breaks_limit {
        lines.push("control breaks it, too".to_owned());
    }
    if let Some(covariate) = &reading.covariate {
        lines.extend(adjusted(reading, covariate));
    }
    tight(&lines.join("\n"))
}

/// What the metric's covariate did, and what would have been read without it.
fn adjusted(reading: &Reading, covariate: &Covariate) -> Vec<String> {
    let days = match covariate.days {
        1 => "the day before exposure".to_owned(),
        days => format!("the {days} days before exposure"),
    };
    match &covariate.adjustment {
        Adjustment::Waiting => vec![format!("by {days} from the first look on")],
        Adjustment::NotMade { why } => vec![format!("not adjusted by {days}: {}", plain(&why.to_string()))],
        Adjustment::Made { theta, saved, unadjusted } => {
            let Unadjusted { control, candidate, effect, standard_error, interval } = *unadjusted;
            let without = Reading { control, candidate, effect, standard_error, interval, ..reading.clone() };
            let (share, more) = (Rounded(100.0 * saved.abs()), if *saved < 0.0 { "more" } else { "less" });
            vec![
                format!("adjusted by {days}: θ {}, {share} % {more} variance", Rounded(*theta)),
                format!("without: {}", Finding::from(&without).measured()),
            ]
        }
    }
}

fn guardrail_role(reading: &Reading, rules: Option<&Rules>) -> &'static str {
    match rules.map(|rules| rules.policy.on_harm(&reading.metric)) {
        Some(OnHarm::Hold) => "guardrail (hold)",
        Some(OnHarm::Warn) => "guardrail (warn)",
        Some(OnHarm::Rollback) | None => "guardrail",
    }
}

fn success_role(reading: &Reading, rules: Option<&Rules>) -> &'static str {
    let metrics = rules.map(|rules| rules.policy.success.metrics.as_slice()).unwrap_or_default();
    match metrics.iter().find(|success| success.metric == reading.metric).map(|success| success.test) {
        Some(SuccessTest::Superior) => "to be better",
        Some(SuccessTest::NonInferior) => "to be no worse",
        None => "success metric",
    }
}

/// How strong the evidence is, and what it takes.
pub(super) fn evidence(explanation: &Explanation) -> String {
    let assessment = &explanation.assessment;
    let mut rows = Vec::new();
    let e = EValue(assessment.log_e_rollback);
    let rollback = match &explanation.needed {
        Some(needed) => format!(
            "average e-value {e}; rollback takes {} ({} / alpha {}), the way up is closed from {} on",
            Rounded(needed.rollback_e),
            candidates(needed),
            needed.alpha,
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
    let mut rows = table(&["epoch", "began", "shares", "units", "closed days"]);
    for epoch in &explanation.cohorts {
        rows.add_row(vec![
            epoch_name(epoch),
            whole(&clock(epoch.started_at)),
            whole(&format!("{} : {}", epoch.control_share, epoch.candidate_share)),
            whole(&format!("{} : {}", epoch.control_units, epoch.candidate_units)),
            days(epoch),
        ]);
    }
    keep_whole(&mut rows, &[1, 3]);
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
        (Some(from), Some(to)) if from == to => format!("1: {from}"),
        (Some(from), Some(to)) => format!("{}: {from} to {to}", epoch.days),
        _ => "none".to_owned(),
    };
    if epoch.not_counting > 0 {
        told.push_str(&format!("\n{} do not count", epoch.not_counting));
    }
    told
}
