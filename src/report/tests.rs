//! The mails say the same in every form, reach whom they should, and hostile names stay text.

use jiff::civil::{Date, date};
use uuid::Uuid;

use super::*;
use crate::decide::{Decision, Finding, Forecast, Outcome, Reason, Step};
use crate::domain::{Bound, Direction, Margin, Share, VariantId};
use crate::evidence::{Assessment, Interval, PromotionLook, Reading, Scale, SplitReading, Verdict};
use crate::plan::Reallocation;

mod letters;
mod told;

const AS_OF: Date = date(2026, 3, 30);

fn share(value: f64) -> Share {
    Share::try_from(value).unwrap()
}

fn reading(verdict: Verdict) -> Reading {
    Reading {
        metric: "cost_per_plan".into(),
        bound: Bound::Margin(Margin::try_from(0.1).unwrap()),
        direction: Direction::Decrease,
        verdict,
        control: Some(0.0213),
        candidate: Some(0.02394),
        scale: Scale::Lift,
        effect: Some(0.124),
        standard_error: Some(0.01),
        interval: Some(Interval { low: 0.102, high: 0.147 }),
        log_e_harm: 6.0,
        log_e_adjusted: 5.0,
        control_breaks_limit: false,
        control_units: 40_000,
        candidate_units: 10_000,
        covariate: None,
    }
}

fn candidate(name: &str, outcome: Outcome) -> CandidateReport {
    let guardrail = reading(Verdict::Breach);
    let finding = Finding::from(&guardrail);
    let reasons = match outcome {
        Outcome::Rollback => vec![Reason::HarmShown { findings: vec![finding], log_e: 5.03, log_needed: 20f64.ln() }],
        Outcome::Promote => vec![Reason::ShownSafe { guardrails: vec![finding], success: vec![], days: 9 }],
        Outcome::Ramp { .. } => vec![Reason::StagePassed { days: 5, control_units: 40_000, candidate_units: 10_000 }],
        Outcome::Hold => vec![Reason::TooSoon { days: 2, needed: 5, stage: share(0.25) }],
    };
    CandidateReport {
        forecast: None,
        name: name.into(),
        decision_id: Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())),
        revision: 0,
        share: share(0.25),
        stage: (2, 3),
        decision: Decision { outcome, reasons },
        before: None,
        split_needed: Some(1000.0),
        percentiles: Vec::new(),
        assessment: Assessment {
            evidence_through: Some(date(2026, 3, 29)),
            control_units: 40_000,
            candidate_units: 10_000,
            guardrails: vec![guardrail],
            success: vec![],
            log_e_rollback: 5.03,
            promotion_look: PromotionLook::EveryNight,
            split: None,
            multiple_exposure: 0.0,
            events: 1000,
            not_numbers: 0,
            from_events: None,
        },
    }
}

fn night(experiments: Vec<ExperimentReport>) -> NightReport {
    NightReport {
        schema_version: 1,
        as_of: AS_OF,
        run: Some(Uuid::from_u128(1)),
        at: "2026-03-31T02:00:00Z".parse().unwrap(),
        experiments,
        resumed: vec![],
        moved: vec![],
        unfinished: vec![],
        incidents: vec![],
    }
}

fn experiment(name: &str, outcome: Outcome) -> ExperimentReport {
    let change = |name: &str, from, to| Reallocation {
        variant: VariantId(Uuid::nil()),
        name: name.into(),
        from: share(from),
        to: share(to),
    };
    let allocations = match outcome {
        Outcome::Rollback => vec![change("control", 0.75, 1.0), change("leftovers_v2", 0.25, 0.0)],
        Outcome::Promote => vec![change("control", 0.75, 0.0), change("leftovers_v2", 0.25, 1.0)],
        Outcome::Ramp { .. } => vec![change("control", 0.75, 0.5), change("leftovers_v2", 0.25, 0.5)],
        Outcome::Hold => vec![],
    };
    let steps = if outcome == Outcome::Hold { vec![] } else { vec!["tag leftovers version 2 stage=archived".into()] };
    ExperimentReport {
        amendment: None,
        restatement: None,
        evidence_from: None,
        owners: vec![],
        name: name.into(),
        standing: Standing::Decided,
        faulty: false,
        candidates: vec![candidate("leftovers_v2", outcome)],
        allocations,
        steps,
        outside_change: false,
        by_hand: vec![],
        route: vec![],
    }
}

fn rolled_back(name: &str) -> ExperimentReport {
    experiment(name, Outcome::Rollback)
}

fn owned(name: &str, outcome: Outcome, owners: &[&str]) -> ExperimentReport {
    ExperimentReport { owners: owners.iter().map(|owner| (*owner).to_owned()).collect(), ..experiment(name, outcome) }
}

fn failed(name: &str) -> ExperimentReport {
    ExperimentReport {
        standing: Standing::Failed { why: "gone".into() },
        faulty: true,
        candidates: vec![],
        allocations: vec![],
        steps: vec![],
        ..rolled_back(name)
    }
}

fn waiting(name: &str) -> ExperimentReport {
    let mut waiting = experiment(name, Outcome::Hold);
    waiting.candidates[0].decision.reasons = vec![Reason::AwaitingApproval { stage: 1, step: Step::Promote }];
    waiting
}

fn ramp() -> Outcome {
    Outcome::Ramp { stage: 2, to: share(0.5) }
}

fn readers() -> Readers {
    Readers::new("Rampkeeper <rampkeeper@example.com>", vec!["team@example.com".into()])
}

fn mails(night: &NightReport, readers: &Readers) -> Vec<MailDraft> {
    mails_of(night, readers, &Stationery::built_in(), &Pasts::new())
}

fn first_line(report: &NightReport) -> String {
    render_text(report).lines().next().unwrap().to_owned()
}
