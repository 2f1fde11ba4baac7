//! What is drawn follows from the nights alone.

use jiff::civil::date;
use uuid::Uuid;

use super::*;
use crate::decide::Decision;
use crate::domain::{Direction, Margin, Share};
use crate::evidence::{Assessment, Interval, PromotionLook};
use crate::report::night::{CandidateReport, ExperimentReport, Standing};

fn reading(verdict: Verdict) -> Reading {
    Reading {
        metric: "Cost / plan".into(),
        bound: Bound::Margin(Margin::try_from(0.1).unwrap()),
        direction: Direction::Decrease,
        verdict,
        control: Some(2.0),
        candidate: Some(2.2),
        scale: evidence::Scale::Lift,
        effect: Some(0.1),
        standard_error: Some(0.01),
        interval: Some(Interval { low: 0.05, high: 0.15 }),
        log_e_harm: 1.0,
        log_e_adjusted: 0.5,
        control_breaks_limit: false,
        control_units: 900,
        candidate_units: 100,
        covariate: None,
    }
}

/// The same metric under a limit.
fn limited(verdict: Verdict) -> Reading {
    Reading { bound: Bound::Ceiling(3.0), scale: evidence::Scale::Value, ..reading(verdict) }
}

fn night(day: i8, verdict: Verdict, units: (u64, u64), mismatch: bool) -> PastNight {
    let split = SplitReading {
        control_units: units.0,
        candidate_units: units.1,
        planned_candidate_units: (units.0 + units.1) as f64 / 10.0,
        log_e: 9.0,
        chi_square_p: None,
        mismatch,
    };
    PastNight {
        id: Uuid::from_u128(day as u128),
        as_of: date(2026, 3, day),
        revision: 0,
        decided_at: "2026-03-31T02:00:00Z".parse().unwrap(),
        share: Some(Share::try_from(0.1).unwrap()),
        decision: Decision { outcome: Outcome::Hold, reasons: vec![Reason::NoTraffic] },
        assessment: Assessment {
            evidence_through: Some(date(2026, 3, day)),
            control_units: units.0,
            candidate_units: units.1,
            guardrails: vec![reading(verdict.clone()), limited(verdict.clone())],
            success: vec![reading(verdict)],
            log_e_rollback: 0.0,
            promotion_look: PromotionLook::EveryNight,
            split: Some(split),
            multiple_exposure: 0.0,
            events: 1,
            not_numbers: 0,
            from_events: None,
        },
    }
}

fn story(nights: Vec<PastNight>) -> CandidateStory {
    let last = nights.last().unwrap();
    CandidateStory {
        name: "\u{202e}v2".into(),
        folder: "v2".into(),
        state: None,
        share: None,
        last: CandidateReport {
            name: "v2".into(),
            decision_id: None,
            revision: 0,
            share: Share::NONE,
            stage: (1, 3),
            decision: last.decision.clone(),
            assessment: last.assessment.clone(),
            forecast: None,
            before: None,
            split_needed: None,
            percentiles: Vec::new(),
        },
        report: ExperimentReport {
            name: "e".into(),
            standing: Standing::Decided,
            faulty: false,
            candidates: vec![],
            allocations: vec![],
            steps: vec![],
            outside_change: false,
            amendment: None,
            restatement: None,
            evidence_from: None,
            owners: vec![],
            by_hand: vec![],
            route: vec![],
        },
        last_night: last.as_of,
        mismatch_from: 1000.0,
        nights,
    }
}

fn paths(sketches: &[Sketch]) -> Vec<&str> {
    sketches.iter().map(|sketch| sketch.path.strip_prefix("experiments/e/v2/").unwrap()).collect()
}

#[test]
fn the_split_is_shown_where_it_was_mismatched_night_by_night() {
    let fine = vec![night(1, Verdict::Safe, (900, 100), false), night(2, Verdict::Safe, (1_800, 200), false)];
    assert_eq!(paths(&sketches(&story(fine.clone()), "e"))[0], "ramp.png");
    let mut off = fine;
    off.push(night(3, Verdict::Safe, (2_700, 240), true));
    let found = sketches(&story(off), "e");
    let Kind::Split(split) = &found[0].drawing else { panic!("{found:?}") };
    let rows: Vec<_> =
        split.rows.iter().map(|row| (row.label.as_str(), row.control_units, row.candidate_units)).collect();
    assert_eq!(rows, [("to 1 Mar", 900, 100), ("2 Mar", 900, 100), ("3 Mar", 900, 40)]);
    assert!(split.rows.iter().all(|row| (row.planned - 0.1).abs() < 1e-9));
    assert!(!split.title.contains('\u{202e}'));
}

#[test]
fn a_verdict_is_settled_by_the_first_night_of_those_that_agree_with_the_last() {
    let verdicts = [Verdict::Safe, Verdict::Inconclusive, Verdict::Harm, Verdict::Breach];
    let nights: Vec<PastNight> =
        (1..).zip(verdicts).map(|(day, verdict)| night(day, verdict, (900, 100), false)).collect();
    let found = sketches(&story(nights), "e");
    let Kind::Trajectory(course) = &found[2].drawing else { panic!("{found:?}") };
    assert_eq!(course.crossing.as_ref().map(|crossing| crossing.date), Some(date(2026, 3, 3)));
    // A metric that is judged by a margin and by a limit has two pictures; the same as a success metric has none more.
    let names = paths(&found);
    let unique: BTreeSet<&&str> = names.iter().collect();
    assert_eq!((names.len(), unique.len()), (4, 4), "{names:?}");
    assert!(names[2].starts_with("guardrail-cost-plan."), "{names:?}");
}

#[test]
fn the_later_revision_of_a_night_counts_and_the_same_picture_has_the_same_digest() {
    let first = night(1, Verdict::Safe, (900, 100), false);
    let revised = PastNight { revision: 1, ..night(1, Verdict::Breach, (900, 100), false) };
    let one = sketches(&story(vec![first, revised.clone()]), "e");
    let other = sketches(&story(vec![revised]), "e");
    let digests = |sketches: &[Sketch]| sketches.iter().map(Sketch::digest).collect::<Vec<_>>();
    assert_eq!(digests(&one), digests(&other));
    assert!(one[0].draw().unwrap().png.starts_with(b"\x89PNG"));
}
