//! The report says the same in every form, and hostile names stay text.

use jiff::civil::date;
use uuid::Uuid;

use super::*;
use crate::decide::{Decision, Finding, Outcome, Reason};
use crate::domain::{Bound, Direction, Margin, Share, VariantId};
use crate::evidence::{Assessment, Interval, PromotionLook, Reading, Scale, Verdict};
use crate::plan::Reallocation;

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
    }
}

fn candidate(name: &str, outcome: Outcome) -> CandidateReport {
    let guardrail = reading(Verdict::Breach);
    let finding = Finding::from(&guardrail);
    CandidateReport {
        forecast: None,
        name: name.into(),
        decision_id: Some(Uuid::from_u128(7)),
        revision: 0,
        share: share(0.25),
        stage: (2, 3),
        decision: Decision {
            outcome,
            reasons: vec![Reason::HarmShown { findings: vec![finding], log_e: 5.03, log_needed: 20f64.ln() }],
        },
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
        },
    }
}

fn night(experiments: Vec<ExperimentReport>) -> NightReport {
    NightReport {
        schema_version: 1,
        as_of: date(2026, 3, 30),
        run: Some(Uuid::from_u128(1)),
        at: "2026-03-31T02:00:00Z".parse().unwrap(),
        experiments,
        resumed: vec![],
        moved: vec![],
        unfinished: vec![],
        incidents: vec![],
    }
}

fn rolled_back(name: &str) -> ExperimentReport {
    let change = |name: &str, from, to| Reallocation {
        variant: VariantId(Uuid::nil()),
        name: name.into(),
        from: share(from),
        to: share(to),
    };
    ExperimentReport {
        amendment: None,
        restatement: None,
        evidence_from: None,
        owners: vec![],
        name: name.into(),
        standing: Standing::Decided,
        faulty: false,
        candidates: vec![candidate("leftovers_v2", Outcome::Rollback)],
        allocations: vec![change("control", 0.75, 1.0), change("leftovers_v2", 0.25, 0.0)],
        steps: vec!["tag leftovers version 2 stage=archived".into()],
        outside_change: false,
        by_hand: vec![],
        route: vec![],
    }
}

#[test]
fn the_text_tells_the_night() {
    insta::assert_snapshot!(render_text(&night(vec![rolled_back("leftovers_exp")])), @r"
    Acted: 1 rolled back
    As of 2026-03-30, run 00000000-0000-0000-0000-000000000001

    == leftovers_exp
      ROLLED BACK  leftovers_v2: 25 % → 0 % (stage 2 of 3)
        because harm shown: cost_per_plan: +12.4 % [+10.2 %, +14.7 %], margin +10 % (average e-value 152.9, needed 20)
        cost_per_plan (guardrail): breach; 0.0213 → 0.02394, +12.4 % [+10.2 % to +14.7 %], bound +10 %
        units: control 40000, candidate 10000; data through 2026-03-29
        decision 00000000-0000-0000-0000-000000000007
      allocations: control: 75 % → 100 %; leftovers_v2: 25 % → 0 %
      then: tag leftovers version 2 stage=archived

    Intervals hold over all nights together. Rampkeeper acts by itself; to stop it, pause the experiment.
    ");
}

#[test]
fn the_page_has_the_same_numbers_and_no_markup_from_names() {
    let html = render_html(&night(vec![rolled_back("<script>alert(1)</script>")]));
    for told in ["ROLLED BACK", "cost_per_plan", "+12.4 %", "+10.2 % to +14.7 %", "25 % → 0 %", "breach"] {
        assert!(html.contains(told), "{told} is missing");
    }
    assert!(!html.contains("<script>"));
    assert!(html.contains("&lt;script&gt;"));
    assert!(!html.contains("{{") && !html.contains("{%"));
}

#[test]
fn the_first_line_says_whether_anything_is_needed() {
    let first = |report: &NightReport| render_text(report).lines().next().unwrap().to_owned();
    assert_eq!(first(&night(vec![rolled_back("e")])), "Acted: 1 rolled back");
    let mut held = rolled_back("e");
    held.candidates[0].decision.outcome = Outcome::Hold;
    assert_eq!(first(&night(vec![held])), "Quiet: 1 held");
    let failed = ExperimentReport {
        standing: Standing::Failed { why: "gone".into() },
        faulty: true,
        candidates: vec![],
        ..rolled_back("e")
    };
    assert_eq!(first(&night(vec![failed])), "Something needs you: 1 failed");
    let mut unfinished = night(vec![rolled_back("e")]);
    unfinished.unfinished.push("tag a version: refused".into());
    assert!(first(&unfinished).starts_with("Something needs you"));
}

#[test]
fn the_same_night_gives_the_same_mail() {
    let readers = Readers {
        from: "Rampkeeper <rampkeeper@example.com>".into(),
        to: vec!["team@example.com".into()],
        reply_to: None,
    };
    let mail = digest_mail(&night(vec![rolled_back("e")]), &readers);
    assert_eq!(mail, digest_mail(&night(vec![rolled_back("e")]), &readers));
    assert_eq!(mail.subject, "[rampkeeper] 2026-03-30: 1 rolled back");
    assert!(mail.message_id.starts_with("night-2026-03-30.") && mail.message_id.ends_with("@example.com"));
    let mut revised = rolled_back("e");
    revised.candidates[0].revision = 1;
    assert_ne!(digest_mail(&night(vec![revised]), &readers).message_id, mail.message_id);
}
