//! A rich night, built as data: every outcome, every reason, every standing, and names that want to be something else.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use rampkeeper::decide::{AdviceOnly, Decision, Finding, Forecast, Outcome, Reason, Step};
use rampkeeper::domain::{Bound, Direction, ExperimentStatus, Frozen, ManualHold, Margin, Said, Share};
use rampkeeper::evidence::{
    Assessment, DayState, Insufficient, Interval, PromotionLook, Reading, Scale, SplitReading, Vanished, Verdict,
};
use rampkeeper::report::{ExperimentReport, Incident, NightReport, Past, PastNight, Pasts, Standing};
use serde_json::{Value, json};
use uuid::Uuid;

/// The day that the night speaks about.
pub const AS_OF: Date = date(2026, 3, 30);

/// Names that people give, and those that somebody gives who means ill.
pub const NAMES: [&str; 20] = [
    "planner_policy_exp",
    "<script>alert(document.domain)</script>",
    "=cmd|' /C calc'!A0",
    "two\r\nBcc: victim@example.org",
    "\u{5e0}\u{5d9}\u{5e1}\u{5d5}\u{5d9} \u{5e7}\u{5d5}\u{5e4}\u{5d4}",
    "report\u{202e}gpj.exe",
    "\u{1f980}\u{1f680} r\u{e9}sum\u{e9} \u{1f469}\u{200d}\u{1f52c}",
    "javascript:alert(1)",
    "a_very_long_name_without_any_space_that_somebody_generated_from_a_template_and_never_looked_at_again_because_it_was_\
     only_ever_meant_for_machines_and_now_stands_in_a_mail_on_a_phone_at_breakfast_time_0123456789",
    "{{ 7 * 7 }} {% raw %}",
    "\"quoted\" & 'single' <b>bold</b>",
    "https://evil.example/login?next=%2F",
    "@everyone <!channel> *bold* _under_",
    "-2+3+cmd",
    "\u{7}bell\u{1b}[31mred",
    "  spaces   and\ttabs  ",
    "\u{6df7}\u{5408}\u{5b9f}\u{9a13}\u{ff08}\u{30c6}\u{30b9}\u{30c8}\u{ff09}",
    "<img src=x onerror=alert(1)>",
    "]]></style><style>*{display:none}</style>",
    "ordinary_checkout_exp",
];

/// The same for candidates.
const CANDIDATES: [&str; 6] = [
    "leftovers_v2",
    "</td></tr></table><h1>x",
    "v\u{202e}3",
    "+1+1",
    "candidate_with_quite_a_long_name_of_its_own_that_has_no_room_in_a_column",
    "\u{645}\u{631}\u{634}\u{62d} \u{661}",
];

fn share(value: f64) -> Share {
    Share::try_from(value).expect("a share")
}

fn said() -> Said {
    Said { by: "Ana <ana@example.com>".into(), reason: "audit & \"holidays\" </p>".into() }
}

/// A guardrail or success metric of that verdict.
pub fn reading(metric: &str, verdict: Verdict) -> Reading {
    let (low, effect, high) = match &verdict {
        Verdict::Breach => (0.102, 0.124, 0.147),
        Verdict::Harm => (0.011, 0.058, 0.104),
        Verdict::Safe => (-0.021, 0.003, 0.027),
        Verdict::Better => (-0.082, -0.051, -0.019),
        Verdict::Inconclusive | Verdict::NoData | Verdict::Insufficient { .. } => (-0.081, 0.041, 0.163),
    };
    let measured = !matches!(verdict, Verdict::NoData);
    let tested = measured && !matches!(verdict, Verdict::Insufficient { .. });
    Reading {
        metric: metric.into(),
        bound: Bound::Margin(Margin::try_from(0.1).expect("a margin")),
        direction: Direction::Decrease,
        verdict,
        control: measured.then_some(0.0213),
        candidate: measured.then_some(0.02394),
        scale: Scale::Lift,
        effect: measured.then_some(effect),
        standard_error: tested.then_some(0.0115),
        interval: tested.then_some(Interval { low, high }),
        log_e_harm: 6.0,
        log_e_adjusted: 5.0,
        control_breaks_limit: false,
        control_units: 40_123,
        candidate_units: 10_456,
        covariate: None,
    }
}

/// A metric against an absolute limit.
fn limited(metric: &str) -> Reading {
    let bound = Bound::Ceiling(2000.0);
    Reading {
        bound,
        scale: Scale::Value,
        control: Some(1873.4),
        candidate: Some(2104.9),
        effect: Some(2104.9),
        interval: Some(Interval { low: 2011.0, high: 2199.0 }),
        ..reading(metric, Verdict::Breach)
    }
}

fn finding(verdict: Verdict) -> Finding {
    Finding::from(&reading("cost_per_plan", verdict))
}

/// One of each reason, with what was decided for it.
pub fn reasons() -> Vec<(Outcome, Reason)> {
    let ramp = || Outcome::Ramp { stage: 1, to: share(0.5) };
    let state = |state| Reason::Stale { date: AS_OF, state };
    let stage = share(0.25);
    let hold = |reason| (Outcome::Hold, reason);
    vec![
        (
            Outcome::Rollback,
            Reason::HarmShown { findings: vec![finding(Verdict::Breach)], log_e: 5.03, log_needed: 20f64.ln() },
        ),
        (Outcome::Rollback, Reason::HarmDespiteMismatch),
        (Outcome::Rollback, Reason::RolledBackByHand { said: said() }),
        (Outcome::Rollback, Reason::DeadlineRollback { max_nights: 28 }),
        (
            Outcome::Promote,
            Reason::ShownSafe {
                guardrails: vec![finding(Verdict::Safe)],
                success: vec![finding(Verdict::Better)],
                days: 7,
            },
        ),
        (
            Outcome::Promote,
            Reason::ShownSafeAtDeadline {
                guardrails: vec![finding(Verdict::Safe)],
                success: vec![finding(Verdict::Safe)],
            },
        ),
        (ramp(), Reason::StagePassed { days: 5, control_units: 40_123, candidate_units: 10_456 }),
        (ramp(), Reason::Approved { said: said() }),
        (ramp(), Reason::HarmToTell { findings: vec![finding(Verdict::Harm)] }),
        hold(Reason::HarmInsideMargin { finding: finding(Verdict::Harm) }),
        hold(Reason::LimitBrokenByBoth { finding: Finding::from(&limited("latency_p99_ms")) }),
        hold(Reason::HarmSuspected { findings: vec![finding(Verdict::Breach), finding(Verdict::Harm)], log_e: 1.7 }),
        hold(Reason::HarmHeldForMismatch),
        hold(Reason::AdviceOnly { would: Step::Rollback, why: AdviceOnly::Mode }),
        hold(Reason::AdviceOnly { would: Step::Ramp { to: share(0.5) }, why: AdviceOnly::KillSwitch }),
        hold(Reason::HeldByHand {
            hold: ManualHold { said: said(), until: Some(date(2026, 4, 5)), even_if_harmful: true },
        }),
        hold(Reason::Frozen {
            freeze: Frozen { name: "Easter <3".into(), until: Some("2026-04-07T06:00:00Z".parse().expect("a time")) },
        }),
        hold(Reason::NotActive { status: ExperimentStatus::Paused }),
        hold(Reason::Misconfigured { what: "allocations sum to 95 %, not to 100 %".into() }),
        hold(Reason::SampleRatioMismatch {
            candidate_units: 9_120,
            planned: 10_031.5,
            log_e: 31.0,
            chi_square_p: Some(3e-12),
        }),
        hold(Reason::MultipleExposure { share: 0.0123, borne: 0.001 }),
        hold(Reason::NotNumbers { count: 12, events: 12_345 }),
        hold(Reason::NoTraffic),
        hold(state(DayState::Missing)),
        hold(state(DayState::Broken { why: "Parquet: <file> ends & early\r\nat byte 4".into() })),
        hold(state(DayState::EndsEarly { latest: Some("2026-03-30T21:14:00Z".parse().expect("a time")) })),
        hold(state(DayState::UnusualSize { rows: 12, usual: 1_234_567 })),
        hold(Reason::QueryFailed { why: "ERROR: relation \"exp.events\" does not exist (SQLSTATE 42P01)".into() }),
        hold(Reason::NoData { metric: "validator_rate".into() }),
        hold(Reason::DataVanished {
            vanished: Vanished { metric: "cost_per_plan".into(), last: Some(date(2026, 3, 27)), nights: 3 },
        }),
        hold(Reason::NotWholeWeeks { days: 9, stage }),
        hold(Reason::CoolingDown { days: 1, needed: 3 }),
        hold(Reason::RiskOverBudget {
            finding: finding(Verdict::Inconclusive),
            to: share(0.5),
            risk: Some(0.031),
            budget: 0.02,
        }),
        hold(Reason::NotConfirmed { shown: 1, needed: 2, of: 3 }),
        hold(Reason::FromAggregates { step: Step::Promote }),
        hold(Reason::AwaitingApproval { stage: 1, step: Step::Promote }),
        hold(Reason::Rejected { said: said() }),
        hold(Reason::TooSoon { days: 2, needed: 5, stage }),
        hold(Reason::TooFewUnits { control: 2_311, candidate: 612, needed: 1_000 }),
        hold(Reason::EstimateOutsideMargin { findings: vec![finding(Verdict::Inconclusive)] }),
        hold(Reason::NotShownSafe { findings: vec![finding(Verdict::Inconclusive); 3] }),
        hold(Reason::BeforeFirstLook { night: 3, first: 7 }),
        hold(Reason::DeadlinePassed { max_nights: 28 }),
        hold(Reason::NotShownBetter { findings: vec![finding(Verdict::Safe)] }),
        hold(Reason::NoRoom { control: share(0.1), wanted: share(0.25), keep: share(0.1) }),
        hold(Reason::SiblingPromoted { sibling: "leftovers_v3 <b>".into() }),
    ]
}

/// What a candidate shows: every verdict and every kind of bound.
fn assessment(index: usize) -> Assessment {
    let verdicts = [
        Verdict::Breach,
        Verdict::Harm,
        Verdict::Safe,
        Verdict::Better,
        Verdict::Inconclusive,
        Verdict::NoData,
        Verdict::Insufficient { why: Insufficient::NonFinite { what: "the covariance".into() } },
    ];
    let verdict = |n: usize| verdicts[n % verdicts.len()].clone();
    let names = [
        "cost_per_plan",
        "average_edits",
        "validator_rate",
        "latency_p50_ms",
        "a_metric_with_a_rather_long_name_indeed",
    ];
    let mut guardrails: Vec<Reading> =
        (index..=index + index % 6).map(|n| reading(names[n % names.len()], verdict(n))).collect();
    guardrails.push(limited("latency_p99_ms"));
    // A ratio whose denominator may be nothing has no end on one side.
    for open in guardrails.iter_mut().filter(|reading| reading.verdict == Verdict::Inconclusive) {
        open.interval = Some(Interval { low: -0.081, high: f64::INFINITY });
    }
    let mismatch = index.is_multiple_of(5);
    Assessment {
        evidence_through: (!index.is_multiple_of(7)).then_some(date(2026, 3, 29)),
        control_units: 40_123,
        candidate_units: 10_456,
        guardrails,
        success: vec![reading("acceptance_rate", verdict(index + 3))],
        log_e_rollback: 5.03,
        promotion_look: PromotionLook::NotYet { night: 3, first: 7 },
        split: Some(SplitReading {
            control_units: 40_123,
            candidate_units: if mismatch { 9_120 } else { 10_031 },
            planned_candidate_units: 10_030.75,
            log_e: if mismatch { 31.0 } else { -2.0 },
            chi_square_p: Some(if mismatch { 3e-12 } else { 0.61 }),
            mismatch,
        }),
        multiple_exposure: 0.0001,
        events: 512_345,
        not_numbers: 0,
        from_events: None,
    }
}

/// What the five nights before said of every second candidate.
pub fn pasts(night: &NightReport) -> Pasts {
    let candidates = night.experiments.iter().flat_map(|experiment| &experiment.candidates);
    let pasts = candidates.step_by(2).filter_map(|candidate| {
        let nights = (1..=5).rev().map(|ago| PastNight {
            as_of: AS_OF.saturating_sub(ago.days()),
            share: share(if ago > 3 { 0.1 } else { 0.25 }),
            decision: Decision {
                outcome: Outcome::Hold,
                reasons: vec![Reason::TooSoon { days: 1, needed: 5, stage: share(0.25) }],
            },
            assessment: candidate.assessment.clone(),
        });
        Some((candidate.decision_id?, Past { nights: nights.collect() }))
    });
    pasts.collect()
}

/// Through JSON, as the tables keep it: what a later version adds is then left out, as in an older record.
fn candidate(index: usize, (outcome, reason): &(Outcome, Reason), more: &[Reason]) -> Value {
    let forecast = match (outcome, index % 3) {
        (Outcome::Hold, 0) => json!(Forecast::Expected { on: date(2026, 4, 9), approval: index.is_multiple_of(2) }),
        (Outcome::Hold, 1) => json!(Forecast::Unreachable { why: "40 % of the units <never> reach the funnel".into() }),
        _ => Value::Null,
    };
    json!({
        "name": format!("{}{}", CANDIDATES[index % CANDIDATES.len()], if index < CANDIDATES.len() { String::new() } else { format!("_{index}") }),
        "decision_id": Uuid::from_u128(0xdec1_0000 + index as u128),
        "revision": index % 4,
        "share": share(0.25),
        "stage": (2, 3),
        "decision": Decision { outcome: outcome.clone(), reasons: [std::slice::from_ref(reason), more].concat() },
        "assessment": assessment(index),
        "forecast": forecast,
    })
}

/// An experiment with these candidates.
fn experiment(index: usize, candidates: Vec<Value>) -> ExperimentReport {
    let mut allocations = Vec::new();
    for candidate in &candidates {
        let to = match candidate["decision"]["outcome"].as_str() {
            Some("rollback") => 0.0,
            Some("promote") => 1.0,
            Some("ramp") => 0.5,
            _ => continue,
        };
        allocations.push(json!({ "variant": Uuid::nil(), "name": candidate["name"], "from": 0.25, "to": to }));
    }
    if !allocations.is_empty() {
        allocations.push(json!({ "variant": Uuid::nil(), "name": "control", "from": 0.75, "to": 0.5 }));
    }
    let marked = |every: usize| index % 4 == every;
    let value = json!({
        "name": NAMES[index % NAMES.len()],
        "standing": if index == 18 { "already_decided" } else { "decided" },
        "faulty": index == 17,
        "candidates": candidates,
        "allocations": allocations,
        "steps": ["tag leftovers version 2 stage=archived", "move the units of </td> to control"],
        "outside_change": marked(1),
        "amendment": marked(2).then(|| json!({
            "changes": ["guardrails.cost_per_plan.margin: 10 % → 5 %", "owners: none → <ana@example.com>"], "restarts": marked(2),
        })),
        "restatement": marked(3).then(|| json!({
            "days": ["2026-03-28: 12345 events, 12391 now"], "cohorts": 2,
            "would_have_been": [
                { "candidate": "leftovers_v2", "decision": Uuid::from_u128(5), "was": { "outcome": "hold" }, "would_be": { "outcome": "rollback" } },
            ],
        })),
        "evidence_from": marked(2).then_some(date(2026, 3, 31)),
        "owners": ["ana@example.com", "Zo\u{eb} <zoe@example.com>"],
        "by_hand": if index.is_multiple_of(6) { json!(["leftovers_v1 was rolled back on 2026-03-12 and has a share of 10 % again"]) } else { json!([]) },
    });
    serde_json::from_value(value).unwrap_or_else(|error| panic!("experiment {index}: {error}"))
}

fn failed(index: usize, why: &str) -> ExperimentReport {
    let mut failed = experiment(index, vec![]);
    failed.standing = Standing::Failed { why: why.into() };
    failed.faulty = true;
    failed.steps.clear();
    failed
}

fn incident(number: u128, new: bool) -> Incident {
    Incident {
        id: Uuid::from_u128(0x1c1d_0000 + number),
        what: "alias champion of planner".into(),
        expected: "version 1 or none, before it is pointed at version 2".into(),
        found: "version <5>".into(),
        advice: "somebody else has pointed it there, so it was left alone; point it at version 2 yourself".into(),
        decision: Some(Uuid::from_u128(0xdec1_0000)),
        experiment: Some(NAMES[2].into()),
        action: Some("a".into()),
        found_at: "2026-03-29T02:00:00Z".parse().expect("a time"),
        new,
    }
}

/// The night: twenty experiments, of which two failed and one was decided before.
pub fn rich() -> NightReport {
    let reasons = reasons();
    let mut experiments = vec![
        failed(
            0,
            "could not load the cohorts of planner_policy_exp: the table <exp.events> is locked\r\nDETAIL: process 17",
        ),
        failed(1, "expression `=1+1` has no column"),
    ];
    let mut index = 0;
    let groups = reasons.chunks(reasons.len().div_ceil(NAMES.len() - experiments.len())).enumerate();
    for (number, group) in groups {
        let candidates = group.iter().map(|reason| {
            index += 1;
            // A hold usually has more than one cause.
            let more = match reason.0 {
                Outcome::Hold => vec![Reason::TooSoon { days: 2, needed: 5, stage: share(0.25) }],
                _ => vec![],
            };
            candidate(index - 1, reason, &more)
        });
        let candidates = candidates.collect();
        experiments.push(experiment(number + 2, candidates));
    }
    let quiet = (Outcome::Hold, Reason::TooSoon { days: 1, needed: 3, stage: share(0.1) });
    while experiments.len() < NAMES.len() {
        index += 1;
        experiments.push(experiment(experiments.len(), vec![candidate(index, &quiet, &[])]));
    }
    experiments.sort_by(|a, b| a.name.cmp(&b.name));
    NightReport {
        resumed: vec!["tag planner version 1 stage=archived".into()],
        moved: vec!["control of \"quoted\" & 'single': 1,234 units drawn anew".into()],
        unfinished: vec![
            "point alias champion of planner at version 2: http://mlflow:5000 was answered 503 <html>".into(),
        ],
        incidents: vec![incident(1, true), incident(2, false)],
        experiments,
        ..empty()
    }
}

/// A night of that many experiments, of which every tenth has something to tell.
pub fn many(count: usize) -> NightReport {
    let reasons = reasons();
    let quiet = (Outcome::Hold, Reason::TooSoon { days: 1, needed: 3, stage: share(0.1) });
    let experiments = (0..count).map(|n| {
        let reason = if n.is_multiple_of(10) { &reasons[n / 10 % reasons.len()] } else { &quiet };
        let mut experiment = experiment(n, vec![candidate(n, reason, &[])]);
        experiment.name = format!("{}_{n}", experiment.name);
        experiment
    });
    NightReport { experiments: experiments.collect(), ..empty() }
}

/// A night in which nothing is there to be told.
pub fn empty() -> NightReport {
    NightReport {
        schema_version: 1,
        as_of: AS_OF,
        run: Some(Uuid::from_u128(0x0123_4567_89ab_cdef)),
        at: "2026-03-31T02:30:00Z".parse().expect("a time"),
        experiments: vec![],
        resumed: vec![],
        moved: vec![],
        unfinished: vec![],
        incidents: vec![],
    }
}
