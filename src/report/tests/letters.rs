//! Who gets which mail, and that each is whole.

use super::*;

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
