//! The policy in force and the facts, as lines.

use serde_json::{Value, json};

use super::Explanation;
use crate::cli::shown::{labelled, plain};
use crate::decide::{Basis, Look, Rounded};
use crate::domain::{Bound, OnHarm, Policy, Require, Rules, SuccessTest};

/// What the decision depended on beside evidence and rules.
pub(super) fn facts(explanation: &Explanation, basis: &Basis) -> String {
    let facts = &basis.facts;
    let stages = explanation.rules.as_ref().map_or(String::new(), |rules| format!(" of {}", rules.policy.stages.len()));
    let mut rows = vec![
        ("stage", format!("{}{stages}, entered with the night of {}", facts.state.stage + 1, facts.state.entered_on)),
        ("shares", format!("candidate {}, control {}", facts.share, facts.control_share)),
        ("experiment", facts.status.as_str().to_owned()),
    ];
    if facts.candidates > 1 {
        rows.push(("candidates", format!("{} share the error rates", facts.candidates)));
    }
    let look = match &facts.look {
        Look::Fresh => "all that should have closed has closed".to_owned(),
        Look::Stale { date, state } => format!("none: the events of {date} are {}", plain(&state.to_string())),
        Look::QueryFailed { why } => format!("none: {}", plain(why)),
    };
    rows.push(("look", look));
    rows.extend(basis.since.map(|since| ("counts", format!("units from {since} on, since the rules were changed"))));
    rows.extend(facts.changed_on.map(|date| ("changed", format!("the shares changed last on {date}"))));
    rows.extend(facts.faults.iter().map(|fault| ("fault", plain(fault))));
    rows.extend(
        facts.vanished.iter().map(|gone| ("silent", format!("{} for {} nights", plain(&gone.metric), gone.nights))),
    );
    rows.extend(facts.frozen.iter().map(|frozen| ("freeze", plain(&frozen.name))));
    rows.extend(facts.advice_only.iter().map(|why| ("advice", plain(&json!(why).to_string()))));
    if facts.shown_before > 0 {
        rows.push(("shown", format!("on {} of the nights before that confirmation looks at", facts.shown_before)));
    }
    labelled(rows)
}

/// The policy, a line per key of promotion.yml.
pub(super) fn rules(rules: &Rules, digest: &str) -> String {
    let policy = &rules.policy;
    let mut rows = vec![("digest", plain(digest)), ("control", plain(&policy.control)), ("stages", stages(policy))];
    let guardrails: Vec<String> = policy
        .guardrails
        .iter()
        .map(|guardrail| {
            let on_harm = match guardrail.on_harm {
                OnHarm::Rollback => "",
                OnHarm::Hold => " (on_harm: hold)",
                OnHarm::Warn => " (on_harm: warn)",
            };
            format!("{} {}{on_harm}", plain(&guardrail.metric), bound(guardrail.bound))
        })
        .collect();
    rows.push(("guardrails", guardrails.join(", ")));
    rows.push(("success", success(policy)));
    let alphas = policy.alphas;
    rows.push((
        "alphas",
        format!(
            "rollback {}, promotion {}, warn {}, srm {}",
            alphas.rollback.get(),
            alphas.promotion.get(),
            alphas.warn.get(),
            alphas.srm.get()
        ),
    ));
    rows.push(("materiality", policy.materiality.to_string()));
    if let Some(nights) = policy.max_nights {
        rows.push(("max_nights", format!("{nights}, then {}", word(json!(policy.after_max_nights)))));
    }
    if let Some(confirmation) = policy.confirmation {
        rows.push(("confirmation", format!("{} of {} nights", confirmation.nights, confirmation.of)));
    }
    if policy.cooldown_days > 0 {
        rows.push(("cooldown_days", policy.cooldown_days.to_string()));
    }
    rows.extend(policy.risk_budget.map(|budget| ("risk_budget", format!("{} %", Rounded(100.0 * budget)))));
    let freezes: Vec<String> = policy.freezes.iter().map(|freeze| plain(&freeze.name)).collect();
    if !freezes.is_empty() {
        rows.push(("freezes", freezes.join(", ")));
    }
    rows.push(("mode", word(json!(policy.mode))));
    let units = |units| word(json!(units));
    rows.push((
        "units",
        format!(
            "on ramp {}, on rollback {}, on promotion {}",
            units(policy.on_ramp),
            units(policy.on_rollback),
            units(policy.on_promote)
        ),
    ));
    if policy.srm_blocks_rollback {
        rows.push(("on_srm", "a mismatched split holds even proven harm".to_owned()));
    }
    if !policy.owners.is_empty() {
        let owners: Vec<String> = policy.owners.iter().map(|owner| plain(owner)).collect();
        rows.push(("owners", owners.join(", ")));
    }
    labelled(rows)
}

/// The word of an enum, as the stored record has it.
fn word(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn stages(policy: &Policy) -> String {
    let stage = |stage: &crate::domain::Stage| {
        let mut told = format!("{} for {} days and {} units", stage.allocation, stage.min_days, stage.min_units);
        if stage.whole_weeks {
            told.push_str(", whole weeks");
        }
        if stage.approval == crate::domain::Approval::Required {
            told.push_str(", with approval");
        }
        told
    };
    policy.stages.iter().map(stage).collect::<Vec<_>>().join("; ")
}

fn success(policy: &Policy) -> String {
    if policy.success.metrics.is_empty() {
        return "safe guardrails are enough".to_owned();
    }
    let metrics: Vec<String> = policy
        .success
        .metrics
        .iter()
        .map(|success| {
            let test = match success.test {
                SuccessTest::Superior => "superior",
                SuccessTest::NonInferior => "non_inferior",
            };
            format!("{} {test} (margin {} %)", plain(&success.metric), Rounded(100.0 * success.margin.get()))
        })
        .collect();
    let require = match policy.success.require {
        Require::Any => "any of ",
        Require::All => "",
    };
    format!("{require}{}", metrics.join(", "))
}

fn bound(bound: Bound) -> String {
    match bound {
        Bound::Margin(margin) => format!("margin {} %", Rounded(100.0 * margin.get())),
        Bound::Ceiling(limit) => format!("ceiling {}", Rounded(limit)),
        Bound::Floor(limit) => format!("floor {}", Rounded(limit)),
    }
}
