//! The mails say the same in every form, reach whom they should, and hostile names stay text.

use jiff::civil::{Date, date};
use uuid::Uuid;

use super::*;
use crate::decide::{Decision, Finding, Forecast, Outcome, Reason, Step};
use crate::domain::{Bound, Direction, Margin, Share, VariantId};
use crate::evidence::{Assessment, Interval, PromotionLook, Reading, Scale, SplitReading, Verdict};
use crate::plan::Reallocation;

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

#[test]
fn the_text_tells_the_night() {
    insta::assert_snapshot!(render_text(&night(vec![rolled_back("leftovers_exp")])), @r#"
    Acted: 1 rolled back.
    Evidence as of 2026-03-30. Run 00000000-0000-0000-0000-000000000001

    == leftovers_exp
      ROLLED BACK  leftovers_v2: 25 % → 0 % (stage 2 of 3)
        Because: harm shown: cost_per_plan: +12.4 % [+10.2 %, +14.7 %], margin +10 % (average e-value 152.9, needed 20)
        cost_per_plan: breach; 0.0213 → 0.02394, +12.4 % [+10.2 to +14.7 %], +10 %, e 403.4
        Units: control 40,000, candidate 10,000; data through 2026-03-29
        Split: not known yet
        Decision: 50dfacc3-9a56-5928-9e0e-84cbe7050d4f
        Take the moved units back: rampkeeper undo-moves 50dfacc3-9a56-5928-9e0e-84cbe7050d4f
      Allocations: control: 75 % → 100 %; leftovers_v2: 25 % → 0 %
      Then: tag leftovers version 2 stage=archived

    Intervals hold over all nights together. Rampkeeper acts by itself; to stop it: rampkeeper hold --all --reason …
    "#);
}

#[test]
fn the_page_has_the_same_numbers_and_no_markup_from_names() {
    let html = render_html(&night(vec![rolled_back("<script>alert(1)</script>")]));
    // Numbers are not torn from their units.
    let html = html.replace('\u{a0}', " ");
    for told in ["ROLLED BACK", "cost_per_plan", "+12.4 %", "+10.2 to +14.7 %", "25 % → 0 %", "breach", "e 403.4"] {
        assert!(html.contains(told), "{told} is missing");
    }
    assert!(!html.contains("<script>"));
    assert!(html.contains("&lt;script&gt;"));
    assert!(!html.contains("{{") && !html.contains("{%"));
}

#[test]
fn the_first_line_says_acted_needs_you_broken_quiet_in_that_order() {
    assert_eq!(first_line(&night(vec![rolled_back("e")])), "Acted: 1 rolled back.");
    assert_eq!(first_line(&night(vec![experiment("e", Outcome::Hold)])), "Quiet: 1 held.");
    assert_eq!(first_line(&night(vec![])), "Quiet: no experiment is running.");
    assert_eq!(first_line(&night(vec![failed("e")])), "Broken: 1 failed.");
    let all = night(vec![
        experiment("q", Outcome::Hold),
        failed("f"),
        waiting("w"),
        experiment("p", Outcome::Promote),
        experiment("r", ramp()),
        rolled_back("b"),
    ]);
    assert_eq!(
        first_line(&all),
        "Acted: 1 rolled back, 1 promoted, 1 ramped. Needs you: 1 experiment. Broken: 1 failed. Quiet: 1 held."
    );
    let mut unfinished = night(vec![rolled_back("e")]);
    unfinished.unfinished.push("tag a version: refused".into());
    assert_eq!(first_line(&unfinished), "Acted: 1 rolled back. Broken: 1 step still to be done.");
    // Cards stand in the same order.
    let text = render_text(&all);
    let places: Vec<usize> =
        ["== b", "== p", "== r", "== w", "== f", " q / leftovers_v2"].map(|name| text.find(name).unwrap()).to_vec();
    assert!(places.is_sorted(), "{places:?}\n{text}");
}

#[test]
fn the_same_night_gives_the_same_mails() {
    let all = mails(&night(vec![rolled_back("e")]), &readers());
    assert_eq!(all, mails(&night(vec![rolled_back("e")]), &readers()));
    let [digest, action] = all.as_slice() else { panic!("{} mails", all.len()) };
    assert_eq!(digest.subject, "[rampkeeper] 2026-03-30: 1 rolled back");
    assert!(digest.message_id.starts_with("night-2026-03-30.") && digest.message_id.ends_with("@example.com"));
    assert_eq!(action.subject, "[rampkeeper] ROLLED BACK e/leftovers_v2: cost per plan +12.4 % (margin +10 %)");
    assert!(action.message_id.starts_with("action-") && action.message_id.ends_with("@example.com"));
    let mut revised = rolled_back("e");
    revised.candidates[0].revision = 1;
    assert_ne!(mails(&night(vec![revised]), &readers())[0].message_id, digest.message_id);
}

#[test]
fn owners_read_of_their_experiments_and_roles_of_what_they_want() {
    let told = night(vec![
        owned("planner_exp", Outcome::Rollback, &["Ana <ana@example.com>", "ben@example.com"]),
        owned("ranker_exp", Outcome::Hold, &["ana@example.com", "BEN@example.com"]),
        owned("search_exp", Outcome::Hold, &["cem@example.com", "team@example.com"]),
    ]);
    let mut readers = readers();
    let role = |to: &str, experiments: Option<&str>, wants| Role {
        to: vec![to.to_owned()],
        experiments: experiments.map(|pattern| vec![pattern.to_owned()]),
        wants,
    };
    let acted = Wants { acted: true, needs_you: false, broken: false, quiet: false };
    readers.roles = vec![
        role("acts@example.com", None, acted),
        role("search@example.com", Some("search_*"), Wants::ALL),
        role("nobody@example.com", Some("search_*"), acted),
    ];
    let mails = mails(&told, &readers);
    let of = |to: &str| {
        mails.iter().find(|mail| mail.to.iter().any(|t| t.contains(to)) && mail.message_id.starts_with("night"))
    };
    let text = |to: &str| of(to).map_or(String::new(), |mail| mail.text.clone());
    // Two owners of the same experiments are a team, however their addresses are written.
    assert_eq!(of("ana").unwrap().to, ["Ana <ana@example.com>", "ben@example.com"]);
    assert!(
        text("ana").contains("planner_exp") && text("ana").contains("ranker_exp") && !text("ana").contains("search")
    );
    assert!(text("cem").contains("search_exp") && !text("cem").contains("planner_exp"));
    assert!(text("acts").contains("planner_exp") && !text("acts").contains("ranker_exp"));
    assert!(text("search@").contains("search_exp") && !text("search@").contains("planner"));
    assert!(of("nobody").is_none());
    assert_eq!(of("team").unwrap().to, ["team@example.com"], "who reads everything is told once");
    let action = mails.iter().find(|mail| mail.message_id.starts_with("action")).unwrap();
    assert_eq!(action.to, ["team@example.com", "acts@example.com", "Ana <ana@example.com>", "ben@example.com"]);
    let ids: std::collections::BTreeSet<_> = mails.iter().map(|mail| &mail.message_id).collect();
    assert_eq!(ids.len(), mails.len());
    readers.owners = false;
    readers.roles.clear();
    assert_eq!(super::tests::mails(&told, &readers).len(), 2);
}

#[test]
fn a_quiet_night_is_told_unless_nobody_wants_it() {
    let quiet = night(vec![owned("e", Outcome::Hold, &["ana@example.com"])]);
    let mut readers = readers();
    let all = mails(&quiet, &readers);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].subject, "[rampkeeper] 2026-03-30: 1 held");
    assert_eq!(mails(&night(vec![]), &readers)[0].subject, "[rampkeeper] 2026-03-30: no experiment is running");
    readers.quiet = false;
    assert!(mails(&quiet, &readers).is_empty() && mails(&night(vec![]), &readers).is_empty());
    assert_eq!(mails(&night(vec![waiting("e")]), &readers).len(), 1);
    assert_eq!(mails(&night(vec![failed("e")]), &readers).len(), 1);
}

#[test]
fn which_decisions_have_their_own_mail_is_a_setting() {
    let all = night(vec![rolled_back("b"), experiment("p", Outcome::Promote), experiment("r", ramp())]);
    let own = |readers: &Readers| mails(&all, readers).len() - 1;
    let mut readers = readers();
    assert_eq!(own(&readers), 2);
    readers.actions = vec![ActionKind::Ramp];
    assert_eq!(own(&readers), 1);
    readers.actions.clear();
    assert_eq!(own(&readers), 0);
}

#[test]
fn a_card_says_what_changed_what_is_wanted_and_how_to_overrule() {
    let mut waiting = waiting("e");
    let candidate = &mut waiting.candidates[0];
    candidate.before = Some(Before {
        as_of: date(2026, 3, 29),
        outcome: Outcome::Hold,
        share: share(0.1),
        control_units: 39_000,
        candidate_units: 9_500,
        metrics: vec![BeforeMetric {
            metric: "cost_per_plan".into(),
            verdict: "inconclusive".into(),
            effect: Some(0.1),
        }],
    });
    let id = candidate.decision_id.unwrap();
    candidate.forecast = Some(Forecast::Expected { on: date(2026, 4, 2), approval: false });
    let text = render_text(&night(vec![waiting]));
    for told in [
        "NEEDS YOU: Somebody must approve or reject this.",
        "Outlook: expected to go on with the night of 2026-04-02",
        "Since 2026-03-29: HELD as before; share 10 % → 25 %; cost_per_plan: inconclusive → breach; 1,000 more units in \
         control, 500 in the candidate",
        &format!("Let it go on: rampkeeper approve {id} --reason \"why\""),
        &format!("Keep it where it is: rampkeeper reject {id} --reason \"why\""),
        "Units: control 40,000, candidate 10,000; data through 2026-03-29",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    let undo = render_text(&night(vec![rolled_back("e")]));
    assert!(undo.contains("Take the moved units back: rampkeeper undo-moves "), "{undo}");
    let ramped = render_text(&night(vec![experiment("e; rm", ramp())]));
    assert!(ramped.contains("rampkeeper hold 'e; rm/leftovers_v2' --reason \"why\""), "{ramped}");
}

#[test]
fn pictures_have_their_place_their_words_and_their_numbers() {
    let told = night(vec![rolled_back("e")]);
    let id = told.experiments[0].candidates[0].decision_id.unwrap();
    let past = |back: i8| PastNight {
        as_of: date(2026, 3, 30 - back),
        share: share(0.1),
        decision: Decision { outcome: Outcome::Hold, reasons: vec![Reason::NoTraffic] },
        assessment: Assessment {
            guardrails: vec![reading(Verdict::Inconclusive)],
            ..told.experiments[0].candidates[0].assessment.clone()
        },
    };
    let pasts = Pasts::from([(id, Past { nights: vec![past(2), past(1)] })]);
    let mut mail = mails_of(&told, &readers(), &Stationery::built_in(), &pasts).remove(0);
    let kinds: Vec<&str> = mail.pictures.iter().map(|picture| picture.chart.kind()).collect();
    assert_eq!(kinds, ["forest", "trajectory", "ramp"]);
    assert!(mail.html.contains("+12.4 % (+10.2 to +14.7 %)"), "the words stand for the picture");
    // What waits in the journal is small, and gives the same picture.
    let kept = serde_json::to_string(&mail.pictures).unwrap();
    assert!(kept.len() < 4_000, "{}", kept.len());
    let again: Vec<PictureDraft> = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, mail.pictures);
    let sources: Vec<String> = mail.pictures.iter().map(|picture| format!("cid:{}", picture.content_id)).collect();
    assert_eq!(mail.html.matches("<img ").count(), 3);
    for (source, picture) in sources.iter().zip(mail.draw()) {
        assert!(mail.html.contains(source.as_str()));
        assert!(picture.png.starts_with(b"\x89PNG"));
    }
    // A mismatched split voids the effects.
    let mut mismatched = told.clone();
    mismatched.experiments[0].candidates[0].assessment.split = Some(SplitReading {
        control_units: 100,
        candidate_units: 10,
        planned_candidate_units: 50.0,
        log_e: f64::INFINITY,
        chi_square_p: None,
        mismatch: true,
    });
    let mail = mails_of(&mismatched, &readers(), &Stationery::built_in(), &pasts).remove(0);
    let kinds: Vec<&str> = mail.pictures.iter().map(|picture| picture.chart.kind()).collect();
    assert_eq!(kinds, ["split", "ramp"]);
    let again: MailDraft = serde_json::from_value(serde_json::json!(mail)).unwrap();
    assert_eq!(again, mail);
    let without = Readers { pictures: false, ..readers() };
    let mail = mails_of(&told, &without, &Stationery::built_in(), &pasts).remove(0);
    assert!(mail.pictures.is_empty() && !mail.html.contains("<img"));
}

/// A guardrail that is the success metric as well stands twice in the table, where its roles are told, and nowhere else.
#[test]
fn a_metric_of_two_roles_is_drawn_and_compared_once() {
    let mut told = waiting("e");
    let candidate = &mut told.candidates[0];
    let guardrail = candidate.assessment.guardrails[0].clone();
    let other = Reading { metric: "acceptance_rate".into(), ..guardrail.clone() };
    let elsewhere = Reading { bound: Bound::Margin(Margin::try_from(0.02).unwrap()), ..guardrail.clone() };
    candidate.assessment.success = vec![guardrail.clone(), other, elsewhere];
    candidate.before = Some(Before {
        as_of: date(2026, 3, 29),
        outcome: Outcome::Hold,
        share: candidate.share,
        control_units: 39_000,
        candidate_units: 9_500,
        metrics: vec![BeforeMetric { metric: "cost_per_plan".into(), verdict: "safe".into(), effect: None }],
    });
    let names: Vec<&str> = candidate.assessment.readings().map(|reading| reading.metric.as_str()).collect();
    assert_eq!(names, ["cost_per_plan", "acceptance_rate", "cost_per_plan"], "another margin says something else");
    candidate.assessment.success.truncate(1);
    let drawn = pictures_of(candidate, date(2026, 3, 30), None);
    let rows =
        drawn.iter().find_map(|chart| if let Chart::Forest(forest) = chart { Some(forest.rows.len()) } else { None });
    assert_eq!(rows, Some(1));
    let text = render_text(&night(vec![told]));
    assert_eq!(text.matches("cost_per_plan: safe → breach").count(), 1, "{text}");
}

#[test]
fn what_follows_is_an_answer_in_the_thread() {
    let action = mails(&night(vec![rolled_back("e")]), &readers()).remove(1);
    let at = "2026-04-01T02:00:00Z".parse().unwrap();
    let news = FollowUp::Settled { done: vec!["tag leftovers version 2".into()], given_up: vec![], at };
    let mail = follow_up(&action, &news, at, &Stationery::built_in());
    assert_eq!(mail.subject, format!("Re: {}", action.subject));
    assert_eq!(mail.in_reply_to.as_deref(), Some(action.message_id.as_str()));
    assert!(mail.headers.contains(&("Thread-Topic".into(), action.subject.clone())));
    assert_eq!((&mail.to, &mail.list_id), (&action.to, &action.list_id));
    assert!(mail.text.contains("tag leftovers version 2") && mail.html.contains("tag leftovers version 2"));
    assert_eq!(mail, follow_up(&action, &news, at, &Stationery::built_in()));
    let other = FollowUp::Undone { units: 1, left: 2, at };
    let other = follow_up(&action, &other, at, &Stationery::built_in());
    assert_ne!(other.message_id, mail.message_id);
    assert!(other.text.contains("1 unit went back") && other.text.contains("2 units stay"), "{}", other.text);
}

#[test]
fn hostile_names_stay_text_everywhere() {
    let names = [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "a\r\nBcc: victim@example.org",
        "שלום\u{202e}evil",
        "\"><img src=x onerror=alert(1)>",
        &"long_name_without_a_break_".repeat(12),
    ];
    let experiments = names.iter().map(|name| {
        let mut hostile = owned(name, Outcome::Rollback, &["ana@example.com"]);
        hostile.candidates[0].name = (*name).to_owned();
        hostile.candidates[0].decision_id = Some(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()));
        hostile.candidates[0].assessment.guardrails[0].metric = (*name).to_owned();
        hostile.allocations[1].name = (*name).to_owned();
        hostile
    });
    let mut readers = readers();
    readers.attach = vec![Attach::Csv, Attach::Json];
    let all = mails(&night(experiments.collect()), &readers);
    assert_eq!(all.len(), 2 + names.len());
    for mail in &all {
        assert!(!mail.html.contains("<script") && !mail.html.contains("<img src=x"), "{}", mail.subject);
        for text in [&mail.html, &mail.text, &mail.subject] {
            assert!(!text.contains(['\r', '\u{202e}', '\0']));
        }
        assert!(!mail.subject.contains('\n') && mail.subject.chars().count() <= 100, "{}", mail.subject);
        assert!(mail.list_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
    }
    let csv = &all[0].attachments[0].text;
    assert!(csv.contains("\"'=cmd|' /C calc'!A0\"") && !csv.contains(",=cmd"), "{csv}");
    let rows = csv.trim_end().split("\r\n").count();
    assert_eq!(rows, 1 + names.len(), "a line end in a name ends no row");
    let json: serde_json::Value = serde_json::from_str(&all[0].attachments[1].text).unwrap();
    assert_eq!(json["experiments"][0]["name"], names[0]);
}

#[test]
fn a_thousand_experiments_stay_within_what_mail_programs_show() {
    let many = |outcome: &Outcome| {
        let all = (0..1_000).map(|at| {
            let mut one = owned(&format!("experiment_{at:04}"), outcome.clone(), &["ana@example.com"]);
            one.candidates[0].decision_id = Some(Uuid::from_u128(at));
            let more = (0..6).map(|m| Reading { metric: format!("metric_{m}"), ..reading(Verdict::Safe) });
            one.candidates[0].assessment.guardrails.extend(more);
            one
        });
        night(all.collect())
    };
    for outcome in [Outcome::Rollback, ramp(), Outcome::Hold] {
        let mut readers = readers();
        readers.attach = vec![Attach::Csv, Attach::Json];
        readers.actions.clear();
        let begun = std::time::Instant::now();
        let all = mails(&many(&outcome), &readers);
        let took = begun.elapsed();
        assert_eq!(all.len(), 2);
        for mail in &all {
            assert!(mail.html.len() <= 80_000, "{} bytes of HTML", mail.html.len());
            assert!(mail.text.len() <= 80_000, "{} bytes of text", mail.text.len());
            assert!(mail.pictures.len() <= 24);
            assert!(mail.html.len() > 40_000, "the room is used: {}", mail.html.len());
            assert!(mail.html.contains("more experiments are left out") && mail.text.contains("are left out"));
            assert!(mail.html.contains("</html>"));
            assert!(mail.attachments.iter().all(|file| file.text.len() < 1_100_000));
        }
        // Generous: this runs without optimisation beside others.
        assert!(took.as_secs() < 60, "{took:?}");
    }
}

#[test]
fn own_templates_and_texts_replace_the_built_in_ones_and_broken_ones_never_lose_a_mail() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let own = Stationery::with(
        &[
            file("line.txt", "* {{ experiment }} {{ t(\"word_hold\") }}\n"),
            file("text.yml", "part_quiet: \"Ruhig\"\nlang: de\nno_such_key: x\n"),
            file("card.txt", "{% for c in candidates %}\n{{ c.nmae }}\n{% endfor %}"),
            file("digest.html", "<p>\n{% if %}</p>"),
            file("other.html", ""),
            file("README.md", "no template"),
        ],
        &[],
    );
    let told: Vec<String> = own.faults().iter().map(ToString::to_string).collect();
    for fault in ["card.txt:2: ", "digest.html:2: ", "text.yml:3: ", "other.html: there is no such template"] {
        assert!(told.iter().any(|told| told.starts_with(fault)), "{fault} in {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
    let quiet = night(vec![experiment("e", Outcome::Hold)]);
    let mail = &mails_of(&quiet, &readers(), &own, &Pasts::new())[0];
    assert!(mail.text.starts_with("Ruhig: 1 held.") && mail.text.contains("* e HELD"), "{}", mail.text);
    assert!(mail.html.contains("lang=\"de\"") && mail.text.contains("card.txt of your own could not be used"));
    let acted = &mails_of(&night(vec![rolled_back("e")]), &readers(), &own, &Pasts::new())[0];
    assert!(acted.text.contains("ROLLED BACK  leftovers_v2: 25 % → 0 %"), "the built-in card stands in");
    // One that fails only on what its trial did not have.
    let late = Stationery::with(
        &[file("card.txt", "{% if name == \"boom\" %}{{ 1 // 0 }}{{ nothing.at.all }}{% endif %}== {{ name }}\n")],
        &[],
    );
    assert_eq!(late.faults(), []);
    let mail = &mails_of(&night(vec![rolled_back("boom")]), &readers(), &late, &Pasts::new())[0];
    assert!(mail.text.contains("ROLLED BACK  leftovers_v2") && mail.text.contains("card.txt"), "{}", mail.text);
}
