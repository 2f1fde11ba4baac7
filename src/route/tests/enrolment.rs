use jiff::civil::date;
use serde_json::json;
use uuid::Uuid;

use crate::control::{Catalogue, ExperimentRecord, Kind};
use crate::domain::{
    Act, ActKind, ExperimentStatus, OfflineStatus, RolloutState, RolloutStatus, VariantId, VersionName, VersionStatus,
};
use crate::plan::Step;
use crate::route::sample::{EXPERIMENT, catalogue, now, policies, record, serving, share, variant, version};
use crate::route::{Asked, Enrolling, Refusal, newest_untried, plan_enrolment, waiting};

fn asked(kind: Kind, name: &str, version: u32) -> Asked {
    Asked {
        experiment: "exp".into(),
        kind,
        version: VersionName { name: name.into(), version },
        share: None,
        name: None,
        force: false,
        reason: None,
    }
}

fn model() -> Asked {
    asked(Kind::Policy, "planner", 2)
}

fn planned(asked: &Asked, catalogue: &Catalogue, record: &ExperimentRecord) -> Result<Enrolling, Vec<Refusal>> {
    plan_enrolment(asked, catalogue, Some(record), &policies(""), now())
}

/// The one thing that speaks against it.
fn refused(asked: &Asked, catalogue: &Catalogue, record: &ExperimentRecord, more: &str) -> String {
    let refusals = plan_enrolment(asked, catalogue, Some(record), &policies(more), now()).unwrap_err();
    let told: Vec<&str> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].to_owned()
}

#[test]
fn a_qualified_version_begins_at_ten_percent_with_all_else_as_control_has_it() {
    let catalogue = catalogue();
    let mut record = record(&catalogue);
    let plan = planned(&model(), &catalogue, &record).unwrap();
    assert_eq!((plan.name.as_str(), plan.share), ("planner_v2", share(0.1)));
    assert_eq!(plan.config, serving(2));
    assert_eq!(plan.shares(), "control 100 % → 90 %");
    let [Step::SetAlias { alias, version, expect, .. }] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    assert_eq!((alias.as_str(), version.version.as_str(), expect.len()), ("challenger", "2", 0));
    let [(epoch, "decision")] = &plan.epochs[..] else { panic!("{:?}", plan.epochs) };
    assert_eq!((epoch.epoch.number, epoch.ends), (1, Some((0, now()))));
    assert!(!epoch.epoch.outside);
    plan.apply_to(&mut record);
    assert_eq!(record.experiment.allocated_ten_thousandths(), 10_000);
    assert_eq!(record.epochs.len(), 2);
    assert_eq!(crate::control::observe_epochs(&record, now()), None, "the split is that of the epoch");
}

#[test]
fn an_epoch_that_nobody_has_noted_is_noted_first() {
    let catalogue = catalogue();
    let mut fresh = record(&catalogue);
    fresh.epochs.clear();
    let plan = planned(&model(), &catalogue, &fresh).unwrap();
    let opened: Vec<_> = plan.epochs.iter().map(|(new, by)| (new.epoch.number, *by)).collect();
    assert_eq!(opened, [(0, "start"), (1, "decision")]);
    let mut changed = record(&catalogue);
    changed.epochs[0].allocations = vec![(VariantId(Uuid::from_u128(10)), share(0.5))];
    let plan = planned(&model(), &catalogue, &changed).unwrap();
    let opened: Vec<_> = plan.epochs.iter().map(|(new, by)| (new.epoch.number, *by)).collect();
    assert_eq!(opened, [(1, "outside"), (2, "decision")]);
    assert!(plan.epochs[1].0.epoch.started_at > plan.epochs[0].0.epoch.started_at);
}

#[test]
fn each_refusal_has_its_own_words() {
    let sound = catalogue();
    let kept = record(&sound);
    let tables = |change: &dyn Fn(&mut Catalogue)| {
        let mut changed = sound.clone();
        change(&mut changed);
        refused(&model(), &changed, &record(&changed), "")
    };
    let ask = |change: &dyn Fn(&mut Asked)| {
        let mut asked = model();
        change(&mut asked);
        refused(&asked, &sound, &kept, "")
    };
    let known = |change: &dyn Fn(&mut ExperimentRecord)| {
        let mut kept = kept.clone();
        change(&mut kept);
        refused(&model(), &sound, &kept, "")
    };
    let hold = Act {
        id: Uuid::nil(),
        kind: ActKind::Hold { until: None, even_if_harmful: false },
        experiment: Some(EXPERIMENT),
        candidate: None,
        by: "ana".into(),
        reason: "audit".into(),
        at: now(),
    };
    let freeze = "  freezes: [{ name: spring, from: 2026-03-30, to: 2026-04-05 }]\n";
    let told = [
        (ask(&|a| a.experiment = "other".into()), "there is no experiment \"other\"; there are: exp"),
        (
            ask(&|a| a.version.version = 9),
            "policy planner/9 is not in the tables; `rampkeeper policy sync` adds versions",
        ),
        (
            tables(&|c| c.experiments[0].status = ExperimentStatus::Paused),
            "exp is paused; candidates come into an active",
        ),
        (
            tables(&|c| c.experiments[0].status = ExperimentStatus::Draft),
            "exp is draft; candidates come into an active",
        ),
        (tables(&|c| c.experiments[0].status = ExperimentStatus::Completed), "exp is completed; candidates"),
        (tables(&|c| c.experiments[0].end_at = Some(now())), "exp was to end at 2026-04-01T02:00:00Z"),
        (tables(&|c| c.policy_versions[1].status = VersionStatus::Archived), "planner/2 is archived and not available"),
        (tables(&|c| c.policy_versions[1].status = VersionStatus::Deprecated), "planner/2 is deprecated"),
        (
            tables(&|c| c.results.truncate(1)),
            "planner/2 has not passed offline evaluation (no pass: it has no offline result",
        ),
        (tables(&|c| c.results[1].status = OfflineStatus::Running), "is still running"),
        (tables(&|c| c.results[0].scores.plan_alignment = Some("0.9".parse().unwrap())), "by 0.1)"),
        (
            tables(&|c| c.experiments[0].variants.push(variant(11, "old", 0.0, serving(2)))),
            "planner/2 is in exp already, as variant old",
        ),
        (
            tables(&|c| c.enrolled.extend([(EXPERIMENT, version(Kind::Policy, 2))])),
            "planner/2 is in exp already, as a variant that was deleted",
        ),
        (
            tables(&|c| c.experiments[0].variants[0].allocation = share(0.95)),
            "exp: the allocations sum to 0.95, not to 1",
        ),
        (
            tables(&|c| {
                c.experiments[0].variants[0].allocation = share(0.9);
                c.experiments[0].variants.push(variant(11, "busy", 0.1, serving(3)));
            }),
            "exp has a candidate at work (busy), and `enrolment.most_candidates` is 1",
        ),
        (
            tables(&|c| {
                c.experiments[0].variants.push(variant(11, "planner_v2", 0.0, json!({"feature_enabled": true})))
            }),
            "exp has a variant planner_v2 already; give another name",
        ),
        (
            tables(&|c| c.experiments[0].variants[0].config = json!({"feature_enabled": true})),
            "exp: control's config names no version",
        ),
        (ask(&|a| a.share = Some(share(0.1001))), "a new variant begins with 10 % at most, and 10.01 % is more"),
        (ask(&|a| a.share = Some(share(0.0))), "exp: a share of 0 % leaves nothing to compare"),
        (ask(&|a| a.name = Some(" ".into())), "is no name for a variant"),
        (known(&|r| r.acts.push(hold.clone())), "exp is held by ana (audit); `rampkeeper resume` lifts that"),
        (known(&|r| r.faults.push("row 7".into())), "exp cannot be read as a whole: row 7"),
        (refused(&model(), &sound, &kept, freeze), "exp is frozen (spring) until 2026-04-06T00:00:00Z"),
        (refused(&model(), &sound, &kept, "kill_switch: true\n"), "the kill switch is on"),
        (
            refused(&model(), &sound, &kept, "  control: nobody\n"),
            "exp has no variant named \"nobody\" to compare with",
        ),
    ];
    for (said, expected) in told {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
}

#[test]
fn a_pass_against_another_baseline_than_control_is_none() {
    let mut catalogue = catalogue();
    catalogue.experiments[0].variants[0].config = serving(3);
    let told = refused(&model(), &catalogue, &record(&catalogue), "");
    assert!(told.contains("planner/2 was held against planner/1, but control of exp serves planner/3"), "{told}");
}

#[test]
fn a_rolled_back_arm_is_not_at_work_and_a_ramping_one_is_even_without_a_share() {
    let mut catalogue = catalogue();
    catalogue.experiments[0].variants.push(variant(11, "old", 0.0, serving(3)));
    let state = |status| RolloutState {
        experiment: EXPERIMENT,
        candidate: VariantId(Uuid::from_u128(11)),
        status,
        stage: 0,
        entered_on: date(2026, 3, 10),
        version: 1,
    };
    let mut kept = record(&catalogue);
    kept.rollouts = vec![state(RolloutStatus::RolledBack)];
    assert!(planned(&model(), &catalogue, &kept).is_ok());
    kept.rollouts = vec![state(RolloutStatus::Ramping)];
    assert!(refused(&model(), &catalogue, &kept, "").contains("at work (old)"));
    let more = "  enrolment: { most_candidates: 2 }\n";
    assert!(plan_enrolment(&model(), &catalogue, Some(&kept), &policies(more), now()).is_ok());
}

#[test]
fn force_sets_aside_a_missing_pass_and_the_limit_and_nothing_else() {
    let mut catalogue = catalogue();
    catalogue.results.truncate(1);
    let kept = record(&catalogue);
    let forced = Asked { force: true, share: Some(share(0.2)), reason: Some("shadow tests".into()), ..model() };
    let plan = planned(&forced, &catalogue, &kept).unwrap();
    assert_eq!(plan.set_aside.len(), 2, "{:?}", plan.set_aside);
    assert_eq!(plan.shares(), "control 100 % → 80 %");
    let firm = plan_enrolment(&forced, &catalogue, Some(&kept), &policies("kill_switch: true\n"), now()).unwrap_err();
    assert_eq!(firm.iter().map(|refusal| refusal.about).collect::<Vec<_>>(), ["kill_switch"]);
}

#[test]
fn all_that_speaks_against_it_is_told_at_once() {
    let mut catalogue = catalogue();
    catalogue.experiments[0].status = ExperimentStatus::Paused;
    catalogue.policy_versions[1].status = VersionStatus::Archived;
    catalogue.results.clear();
    let asked = Asked { share: Some(share(0.5)), ..model() };
    let refusals = planned(&asked, &catalogue, &record(&catalogue)).unwrap_err();
    let about: Vec<&str> = refusals.iter().map(|refusal| refusal.about).collect();
    assert_eq!(about, ["status", "archived", "no_pass", "limit"]);
}

#[test]
fn a_prompt_version_wants_a_person_who_answers_for_it() {
    let mut catalogue = catalogue();
    catalogue.experiments[0].variants[0].config = json!({"execution_strategy": "prompt_template",
        "prompt_config": {"prompt_version_id": version(Kind::Prompt, 1), "model_name": "gpt"}, "params": {"k": 1}});
    let kept = record(&catalogue);
    let asked = asked(Kind::Prompt, "chat", 2);
    assert!(refused(&asked, &catalogue, &kept, "").contains("say why it may go in: --reason"));
    let plan = planned(&Asked { reason: Some("read 50 talks".into()), ..asked }, &catalogue, &kept).unwrap();
    assert_eq!(plan.config["prompt_config"]["prompt_version_id"], json!(version(Kind::Prompt, 2)));
    assert_eq!(plan.config["prompt_config"]["model_provider"], "openai");
    assert_eq!(plan.config["params"], json!({"k": 1}));
    assert!(plan.steps.is_empty(), "a prompt has nothing in the model registry");
    assert!(plan.judgement.is_none());
}

#[test]
fn the_night_takes_the_newest_that_was_never_tried() {
    let mut catalogue = catalogue();
    let untried = |catalogue: &Catalogue| {
        let names = newest_untried(catalogue, &catalogue.experiments[0], "planner", "control");
        names.into_iter().map(|name| name.version).collect::<Vec<_>>()
    };
    assert_eq!(untried(&catalogue), [3, 2]);
    catalogue.policy_versions[2].status = VersionStatus::Deprecated;
    assert_eq!(untried(&catalogue), [2]);
    catalogue.experiments[0].variants.push(variant(11, "old", 0.0, serving(2)));
    assert_eq!(untried(&catalogue), [0u32; 0]);
    // Where control serves something else, nothing says what is newer.
    catalogue.experiments[0].variants[0].config = json!({"feature_enabled": true});
    assert_eq!(untried(&catalogue), [0u32; 0]);
}

#[test]
fn whoever_waits_is_named_with_what_it_waits_for() {
    let mut catalogue = catalogue();
    let told = |catalogue: &Catalogue, more: &str| {
        let mut policies = policies(more);
        policies.criteria = Default::default();
        let found = waiting(catalogue, &record(catalogue), &policies, now());
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let auto = "  auto_enroll: true\n  enrolment: { policy: planner }\n";
    // Both passed: by hand either may come in, by night the newer one.
    assert_eq!(
        told(&catalogue, ""),
        [
            "planner/3 passed offline evaluation; `rampkeeper enroll exp planner/3` lets it in",
            "planner/2 passed offline evaluation; `rampkeeper enroll exp planner/2` lets it in"
        ]
    );
    assert_eq!(
        told(&catalogue, auto),
        [
            "planner/3 passed offline evaluation and comes in with the next night, with 10 %",
            "planner/2 passed offline evaluation, and a newer version comes first"
        ]
    );
    // The night lets nobody in where it only advises.
    assert!(told(&catalogue, &format!("{auto}  mode: advise\n"))[0].contains("`rampkeeper enroll exp planner/3`"));
    catalogue.results.truncate(2);
    assert_eq!(told(&catalogue, "").len(), 1, "what was not evaluated waits for nothing where only hands let in");
    let with_auto = told(&catalogue, auto);
    assert!(
        with_auto[0].starts_with("planner/3: offline evaluation no pass: it has no offline result"),
        "{with_auto:?}"
    );
    assert!(with_auto[1].contains("planner/2 passed offline evaluation and comes in with the next night"));
    catalogue.experiments[0].status = ExperimentStatus::Paused;
    let paused = told(&catalogue, auto);
    assert!(
        paused[1].starts_with("planner/2 passed offline evaluation and stays out: exp is paused; candidates come into"),
        "{paused:?}"
    );
}
