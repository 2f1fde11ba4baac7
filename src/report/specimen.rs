//! A night with something of everything, by which somebody's own templates are tried out before they are used.

use jiff::civil::date;
use uuid::Uuid;

use super::circulation::{Readers, letters};
use super::compose::try_draft;
use super::night::{Before, BeforeMetric, CandidateReport, ExperimentReport, Incident, NightReport, Standing};
use super::pictures::Pasts;
use super::stationery::{Stationery, StationeryFault, fault_of};
use crate::decide::{Decision, Finding, Forecast, Outcome, Reason};
use crate::domain::{Bound, Direction, Margin, Share, VariantId};
use crate::evidence::{Assessment, Insufficient, Interval, PromotionLook, Reading, Scale, SplitReading, Verdict};
use crate::plan::Reallocation;

/// What keeps the templates from being rendered for such a night, if something does.
pub(super) fn fault_in(stationery: &Stationery) -> Option<StationeryFault> {
    let readers = Readers::new("Rampkeeper <rampkeeper@example.com>", vec!["team@example.com".to_owned()]);
    let quiet = NightReport { experiments: Vec::new(), incidents: Vec::new(), ..night() };
    for night in [night(), quiet] {
        for letter in letters(&night, &readers) {
            if let Err(error) = try_draft(&letter, &readers, stationery, &Pasts::new()) {
                return Some(fault_of("layout.html", &error));
            }
        }
    }
    None
}

fn reading(metric: &str, verdict: Verdict, effect: Option<f64>) -> Reading {
    Reading {
        metric: metric.to_owned(),
        bound: Margin::try_from(0.1).map_or(Bound::Ceiling(1.0), Bound::Margin),
        direction: Direction::Decrease,
        verdict,
        control: Some(0.0213),
        candidate: effect.map(|effect| 0.0213 * (1.0 + effect)),
        scale: Scale::Lift,
        effect,
        standard_error: effect.map(|_| 0.01),
        interval: effect.map(|effect| Interval { low: effect - 0.02, high: effect + 0.02 }),
        log_e_harm: 5.0,
        log_e_adjusted: 4.0,
        control_breaks_limit: false,
        control_units: 40_000,
        candidate_units: 10_000,
        covariate: None,
    }
}

fn candidate(name: &str, outcome: Outcome, forecast: Option<Forecast>) -> CandidateReport {
    let cost = reading("cost_per_plan", Verdict::Breach, Some(0.124));
    let few = Verdict::Insufficient { why: Insufficient::NoUnits };
    let finding = Finding::from(&cost);
    CandidateReport {
        name: name.to_owned(),
        decision_id: Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())),
        revision: 1,
        share: Share::ALL,
        stage: (2, 3),
        decision: Decision {
            outcome,
            reasons: vec![
                Reason::HarmShown { findings: vec![finding], log_e: 5.0, log_needed: 3.0 },
                Reason::HarmDespiteMismatch,
            ],
        },
        assessment: Assessment {
            evidence_through: Some(date(2026, 3, 29)),
            control_units: 40_000,
            candidate_units: 10_000,
            guardrails: vec![cost, reading("latency_p99", few, None)],
            success: vec![reading("acceptance_rate", Verdict::Inconclusive, Some(-0.01))],
            log_e_rollback: 5.0,
            promotion_look: PromotionLook::EveryNight,
            split: Some(SplitReading {
                control_units: 40_000,
                candidate_units: 10_000,
                planned_candidate_units: 10_010.0,
                log_e: 0.1,
                chi_square_p: Some(0.6),
                mismatch: false,
            }),
            multiple_exposure: 0.0,
            events: 100_000,
            not_numbers: 0,
            from_events: None,
        },
        forecast,
        before: Some(Before {
            as_of: date(2026, 3, 29),
            outcome: Outcome::Hold,
            share: Share::ALL,
            control_units: 39_000,
            candidate_units: 9_700,
            metrics: vec![BeforeMetric {
                metric: "cost_per_plan".to_owned(),
                verdict: "inconclusive".to_owned(),
                effect: Some(0.11),
            }],
        }),
        split_needed: Some(1000.0),
        percentiles: Vec::new(),
    }
}

fn experiment(name: &str, candidates: Vec<CandidateReport>) -> ExperimentReport {
    let allocations = candidates.iter().map(|candidate| Reallocation {
        variant: VariantId(Uuid::nil()),
        name: candidate.name.clone(),
        from: Share::ALL,
        to: Share::NONE,
    });
    ExperimentReport {
        name: name.to_owned(),
        standing: Standing::Decided,
        faulty: false,
        allocations: allocations.collect(),
        candidates,
        steps: vec!["tag planner version 2 stage=archived".to_owned()],
        outside_change: true,
        amendment: None,
        restatement: None,
        evidence_from: None,
        owners: vec!["Owner <owner@example.com>".to_owned()],
        by_hand: Vec::new(),
        route: Vec::new(),
    }
}

/// The night.
fn night() -> NightReport {
    let on = Forecast::Expected { on: date(2026, 4, 2), approval: false };
    let rolled_back = candidate("harmful", Outcome::Rollback, None);
    let held = candidate("held", Outcome::Hold, Some(on));
    let mut told = experiment("planner", vec![rolled_back, held.clone()]);
    told.by_hand = vec!["somebody did something".to_owned()];
    let mut quiet = experiment("quiet", vec![CandidateReport { before: None, ..held }]);
    quiet.outside_change = false;
    quiet.candidates[0].decision.reasons = vec![Reason::NoTraffic];
    let failed = ExperimentReport {
        standing: Standing::Failed { why: "the query failed".to_owned() },
        faulty: true,
        ..experiment("failed", Vec::new())
    };
    let known = ExperimentReport {
        standing: Standing::AlreadyDecided,
        outside_change: false,
        ..experiment("known", Vec::new())
    };
    let lines = |line: &str| vec![line.to_owned()];
    NightReport {
        schema_version: 1,
        as_of: date(2026, 3, 30),
        run: Some(Uuid::from_u128(1)),
        at: jiff::Timestamp::UNIX_EPOCH,
        experiments: vec![failed, known, told, quiet],
        resumed: lines("a step"),
        moved: lines("units"),
        unfinished: lines("a step: refused"),
        incidents: vec![Incident {
            id: Uuid::from_u128(2),
            what: "alias champion of planner".to_owned(),
            expected: "version 2".to_owned(),
            found: "version 3".to_owned(),
            advice: "set it right".to_owned(),
            decision: None,
            experiment: Some("planner".to_owned()),
            action: None,
            found_at: jiff::Timestamp::UNIX_EPOCH,
            new: true,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_templates_have_no_fault() {
        assert_eq!(fault_in(&Stationery::built_in()), None);
    }
}
