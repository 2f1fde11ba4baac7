//! What a mail says.

use super::*;

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
