//! A message stays within Slack's bounds, whatever is in it, and goes only to those who want it.

use jiff::civil::date;
use serde_json::json;
use uuid::Uuid;

use super::slack::{LONGEST_HEADER, LONGEST_SECTION, LONGEST_TEXT, MOST_BLOCKS};
use super::*;
use crate::decide::{Decision, Reason};
use crate::domain::{Share, VariantId};
use crate::evidence::{Assessment, PromotionLook};
use crate::plan::Reallocation;
use crate::report::{CandidateReport, ExperimentReport, Incident};

fn share(value: f64) -> Share {
    Share::try_from(value).unwrap()
}

fn candidate(name: &str, outcome: Outcome, reasons: Vec<Reason>) -> CandidateReport {
    CandidateReport {
        forecast: None,
        before: None,
        split_needed: None,
        percentiles: Vec::new(),
        name: name.into(),
        decision_id: Some(Uuid::from_u128(7)),
        revision: 0,
        share: share(0.25),
        stage: (2, 3),
        decision: Decision { outcome, reasons },
        assessment: Assessment {
            evidence_through: Some(date(2026, 3, 29)),
            control_units: 40_000,
            candidate_units: 10_000,
            guardrails: vec![],
            success: vec![],
            log_e_rollback: 0.0,
            promotion_look: PromotionLook::EveryNight,
            split: None,
            multiple_exposure: 0.0,
            events: 1000,
            not_numbers: 0,
            from_events: None,
        },
    }
}

fn experiment(name: &str, candidates: Vec<CandidateReport>) -> ExperimentReport {
    ExperimentReport {
        amendment: None,
        restatement: None,
        evidence_from: None,
        owners: vec![],
        name: name.into(),
        standing: Standing::Decided,
        faulty: false,
        candidates,
        allocations: vec![],
        steps: vec![],
        outside_change: false,
        by_hand: vec![],
        route: vec![],
    }
}

fn rolled_back(name: &str) -> ExperimentReport {
    let mut told =
        experiment(name, vec![candidate("leftovers_v2", Outcome::Rollback, vec![Reason::HarmDespiteMismatch])]);
    let variant = VariantId(Uuid::nil());
    told.allocations = vec![Reallocation { variant, name: "leftovers_v2".into(), from: share(0.25), to: share(0.0) }];
    told
}

fn held(name: &str) -> ExperimentReport {
    experiment(
        name,
        vec![candidate("v2", Outcome::Hold, vec![Reason::TooSoon { days: 1, needed: 3, stage: share(0.25) }])],
    )
}

fn waiting(name: &str) -> ExperimentReport {
    experiment(name, vec![candidate("v2", Outcome::Hold, vec![Reason::NoTraffic])])
}

fn failed(name: &str, why: &str) -> ExperimentReport {
    ExperimentReport { standing: Standing::Failed { why: why.into() }, faulty: true, ..experiment(name, vec![]) }
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

fn incident(found: &str) -> Incident {
    Incident {
        id: Uuid::from_u128(9),
        what: "alias champion of planner".into(),
        expected: "version 2".into(),
        found: found.into(),
        advice: "point it at version 2 yourself".into(),
        decision: None,
        experiment: None,
        action: None,
        found_at: "2026-03-31T02:00:00Z".parse().unwrap(),
        new: true,
    }
}

fn channel(form: ChatForm) -> Channel {
    let when = [Mood::Acted, Mood::NeedsYou, Mood::Broken, Mood::Quiet].into();
    Channel { place: "env CHAT".into(), form, experiments: vec![], when }
}

fn slack(night: &NightReport) -> Value {
    chat_draft(night, &channel(ChatForm::Slack)).expect("it is told").body
}

/// All texts of a message with the bound of each, and the bounds themselves.
fn check_bounds(message: &Value) {
    let length = |text: &Value| text.as_str().expect("a text").encode_utf16().count();
    assert!((1..=LONGEST_TEXT).contains(&length(&message["text"])), "{}", message["text"]);
    let blocks = message["blocks"].as_array().unwrap();
    assert!((1..=MOST_BLOCKS).contains(&blocks.len()), "{} blocks", blocks.len());
    for block in blocks {
        let (text, bound) = match block["type"].as_str().unwrap() {
            "header" => (&block["text"]["text"], LONGEST_HEADER),
            "section" => (&block["text"]["text"], LONGEST_SECTION),
            "context" => (&block["elements"][0]["text"], LONGEST_SECTION),
            other => panic!("{other}"),
        };
        assert!((1..=bound).contains(&length(text)), "{} of {bound}: {text}", length(text));
        let text = text.as_str().unwrap();
        assert!(!text.contains(['<', '>', '\r', '\t', '\u{202e}']), "{text}");
        for (at, _) in text.match_indices('&') {
            assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| text[at..].starts_with(entity)), "{text}");
        }
    }
}

#[test]
fn a_night_for_slack() {
    let mut told =
        night(vec![failed("broken_exp", "no such column: plan"), rolled_back("planner_exp"), held("quiet_exp")]);
    told.incidents = vec![incident("version 5")];
    let message = slack(&told);
    check_bounds(&message);
    let text = message["text"].as_str().unwrap();
    let head =
        "2026-03-30: Acted, needs you, broken: 1 rolled back, 1 held, 1 failed, 1 not as decided\n*Not as decided*\n";
    assert!(text.starts_with(head) && text.contains("*ROLLED BACK* leftovers_v2: 25 % → 0 %"), "{text}");
    let texts = message["blocks"].as_array().unwrap().iter().map(|block| {
        let text = if block["type"] == "context" { &block["elements"][0]["text"] } else { &block["text"]["text"] };
        text.as_str().unwrap().to_owned()
    });
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n--\n"), @r"
    Acted, needs you, broken: 1 rolled back, 1 held, 1 failed, 1 not as decided
    --
    As of 2026-03-30 · run 00000000-0000-0000-0000-000000000001
    --
    *Not as decided*
    • alias champion of planner: found version 5, expected version 2; point it at version 2 yourself
    --
    *broken_exp*
    FAILED: no such column: plan
    --
    *planner_exp*
    *ROLLED BACK* leftovers_v2: 25 % → 0 %; the split was mismatched too, but lowering is the safe side
    --
    • quiet_exp: v2 held at 25 %, too soon: 1 of 3 full days at 25 %
    ");
}

#[test]
fn a_hostile_night_stays_within_the_bounds() {
    let names = [
        "<!channel> & <https://evil.example|click>".to_owned(),
        "a\r\nb\u{202e}c\t\u{2066}".to_owned(),
        "&".repeat(5000),
        "🦀".repeat(5000),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd}".repeat(500),
        "_*~`".repeat(300),
        String::new(),
    ];
    for name in &names {
        let mut told = night((0..70).map(|_| rolled_back(name)).collect());
        told.experiments.extend((0..300).map(|_| held(name)));
        told.experiments.extend((0..9).map(|_| failed(name, name)));
        told.unfinished = vec![name.clone(); 500];
        told.incidents = vec![incident(name); 500];
        let message = slack(&told);
        check_bounds(&message);
        let blocks = message["blocks"].as_array().unwrap();
        assert_eq!(blocks.len(), MOST_BLOCKS);
        let last = blocks.last().unwrap()["elements"][0]["text"].as_str().unwrap();
        // 2 lists, 79 cards and 1 list of the rest, of which 47 have room.
        assert_eq!(last, "… and 35 more; the mail and the page have all of them");
        check_bounds(&slack(&night(vec![rolled_back(name)])));
    }
    check_bounds(&slack(&night(vec![])));
}

#[test]
fn many_candidates_of_one_experiment_fill_one_section() {
    let many = (0..60).map(|n| candidate(&format!("v{n}{}", "<".repeat(90)), Outcome::Rollback, vec![])).collect();
    let message = slack(&night(vec![experiment("many", many)]));
    check_bounds(&message);
    assert!(message["blocks"][2]["text"]["text"].as_str().unwrap().ends_with("\n…"));
}

#[test]
fn json_is_the_night_itself() {
    let told = night(vec![rolled_back("planner_exp")]);
    let draft = chat_draft(&told, &channel(ChatForm::Json)).unwrap();
    assert_eq!(draft.body, serde_json::to_value(&told).unwrap());
    assert_eq!(draft.body["schema_version"], 1);
    assert_eq!(draft.about, "2026-03-30: 1 rolled back");
}

#[test]
fn the_same_night_is_known_by_the_same_mark_whatever_run_tells_it() {
    let id = |night: &NightReport, form| chat_draft(night, &channel(form)).unwrap().id;
    let told = night(vec![rolled_back("planner_exp")]);
    let again =
        NightReport { run: Some(Uuid::from_u128(2)), at: "2026-03-31T05:00:00Z".parse().unwrap(), ..told.clone() };
    assert_eq!(id(&told, ChatForm::Slack), id(&again, ChatForm::Slack));
    assert_ne!(id(&told, ChatForm::Slack), id(&told, ChatForm::Json));
    let mut revised = told.clone();
    revised.experiments[0].candidates[0].revision = 1;
    assert_ne!(id(&told, ChatForm::Slack), id(&revised, ChatForm::Slack));
}

#[test]
fn every_night_is_something() {
    let moods = |night: &NightReport| Mood::of(night).into_iter().collect::<Vec<_>>();
    assert_eq!(moods(&night(vec![])), [Mood::Quiet]);
    assert_eq!(moods(&night(vec![held("e")])), [Mood::Quiet]);
    assert_eq!(moods(&night(vec![rolled_back("e")])), [Mood::Acted]);
    assert_eq!(moods(&night(vec![waiting("e")])), [Mood::NeedsYou]);
    assert_eq!(moods(&night(vec![failed("e", "why")])), [Mood::NeedsYou, Mood::Broken]);
    assert_eq!(moods(&NightReport { incidents: vec![incident("x")], ..night(vec![held("e")]) }), [Mood::Broken]);
    assert_eq!(moods(&NightReport { unfinished: vec!["x".into()], ..night(vec![held("e")]) }), [Mood::Broken]);
    let mut again = rolled_back("e");
    again.standing = Standing::AlreadyDecided;
    assert_eq!(moods(&night(vec![again])), [Mood::Quiet]);
}

#[test]
fn a_channel_hears_of_its_experiments_and_its_nights_only() {
    let told = night(vec![rolled_back("one"), waiting("two")]);
    let of = |experiments: &[&str], when: &[Mood]| Channel {
        experiments: experiments.iter().map(|name| (*name).to_owned()).collect(),
        when: when.iter().copied().collect(),
        ..channel(ChatForm::Json)
    };
    let names = |channel: Channel| {
        let draft = chat_draft(&told, &channel)?;
        let experiments = draft.body["experiments"].as_array()?.clone();
        Some(experiments.iter().map(|e| e["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    let all = [Mood::Acted, Mood::NeedsYou, Mood::Broken, Mood::Quiet];
    assert_eq!(names(of(&["two"], &all)), Some(vec!["two".to_owned()]));
    assert_eq!(names(of(&["two"], &[Mood::Acted])), None, "what acted is another's");
    assert_eq!(names(of(&[], &[Mood::Acted])), Some(vec!["one".to_owned(), "two".to_owned()]));
    assert_eq!(names(of(&[], &[Mood::Quiet])), None);
    assert_eq!(names(of(&["three"], &all)), None, "nothing of it happened");
    let broken = NightReport { incidents: vec![incident("x")], ..told.clone() };
    assert!(chat_draft(&broken, &of(&["three"], &all)).is_some(), "what is not as decided is everybody's");
    assert_eq!(chat_draft(&broken, &of(&["three"], &[Mood::Acted])), None);
    assert_eq!(json!(chat_draft(&told, &of(&["one"], &all)).unwrap())["place"], "env CHAT");
}
