//! The promotion file: what may be said, and what makes no sense.

use std::path::Path;

use super::super::{ConfigError, load};
use crate::domain::{AfterDeadline, Approval, Confirmation, Mode, Policy};

/// A promotion file with these lines beneath `defaults:`, read with the example's metrics.
fn defaults(lines: &str) -> Result<Policy, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("rampkeeper.yml", include_str!("../../../config/rampkeeper.example.yml"));
    write("metrics.example.yml", include_str!("../../../config/metrics.example.yml"));
    let guardrails =
        if lines.contains("guardrails") { "" } else { "  guardrails: [{ metric: cost_per_plan, margin: 0.1 }]\n" };
    write("promotion.example.yml", &format!("defaults:\n{guardrails}{lines}"));
    let loaded = load(&folder.path().join("rampkeeper.yml"));
    loaded.map(|config| config.policies.of("any").clone()).map_err(|ConfigError(faults)| {
        faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
    })
}

#[test]
fn the_example_says_what_holds_without_it() {
    let config = load(Path::new("config/rampkeeper.example.yml")).unwrap();
    let (example, standard) = (config.policies.of("any"), Policy::standard());
    assert_eq!(example.stages, standard.stages);
    assert_eq!(example.alphas, standard.alphas);
    assert_eq!(example.page_after_nights, standard.page_after_nights);
    assert_eq!((example.on_ramp, example.mode), (standard.on_ramp, standard.mode));
    assert_eq!(config.policies.of("checkout_ranker_exp").owners, ["search@example.com"]);
}

#[test]
fn every_part_of_a_policy_is_read() {
    let policy = defaults(
        "  mode: advise\n  max_nights: 40\n  after_max_nights: promote_if_non_inferior\n  confirmation: { nights: 2, of: 3 }\n  \
           cooldown_days: 2\n  risk_budget: 0.02\n  page_after_nights: 3\n  owners: [Ana <ana@example.com>]\n  \
           stages: [{ allocation: 0.1, min_days: 7, whole_weeks: true, approval: required }]\n  freezes:\n    \
           - { name: a, from: 2026-12-20, to: 2026-12-31 }\n    - { name: b, from: 2026-12-20T18:00, to: 2026-12-21T06:00 }\n    \
           - { name: c, dates: [2026-05-01], timezone: Europe/Berlin }\n    - { name: d, yearly: [02-29] }\n    \
           - { name: e, cron: '0 12 * * FRI', lasts: 2d 12h }\n",
    )
    .unwrap();
    assert_eq!(policy.mode, Mode::Advise);
    assert_eq!(policy.after_max_nights, AfterDeadline::PromoteIfNonInferior);
    assert_eq!(policy.confirmation, Some(Confirmation { nights: 2, of: 3 }));
    assert_eq!((policy.cooldown_days, policy.risk_budget, policy.page_after_nights), (2, Some(0.02), 3));
    assert!(policy.stages[0].whole_weeks && policy.stages[0].approval == Approval::Required);
    let windows: Vec<String> =
        policy.freezes.iter().map(|freeze| serde_json::json!(freeze.window).to_string()).collect();
    insta::assert_snapshot!(windows.join("\n"), @r#"
    {"between":{"from":"2026-12-20T00:00:00","until":"2027-01-01T00:00:00"}}
    {"between":{"from":"2026-12-20T18:00:00","until":"2026-12-21T06:00:00"}}
    {"dates":["2026-05-01"]}
    {"yearly":[[2,29]]}
    {"cron":{"starts":"0 12 * * FRI","minutes":3600}}
    "#);
}

#[test]
fn what_makes_no_sense_in_a_policy_is_told() {
    let told = |lines: &str| defaults(lines).unwrap_err().join("\n");
    let has = |lines: &str, part: &str| assert!(told(lines).contains(part), "{lines} gives {}", told(lines));
    has("  confirmation: { nights: 3, of: 2 }\n", "3 of 2 nights cannot be");
    has("  after_max_nights: rollback\n", "without `max_nights` there is no last night");
    has("  owners: [nobody]\n", "is no mail address");
    has(
        "  guardrails: [{ metric: cost_per_plan, margin: 0.1, on_harm: warn }]\n",
        "no guardrail has `on_harm: rollback`",
    );
    has("  freezes: [{ name: a, from: 2026-12-20 }]\n", "give `from` and `to`, or `dates`");
    has("  freezes: [{ name: a, from: 2026-12-20, to: 2026-12-01 }]\n", "not after its beginning");
    has("  freezes: [{ name: a, dates: [tomorrow] }]\n", "is no date");
    has("  freezes: [{ name: a, yearly: [13-01] }]\n", "is no month and day");
    has("  freezes: [{ name: a, cron: often, lasts: 2h }]\n", "is no cron expression");
    has("  freezes: [{ name: a, cron: '0 1 * * *', lasts: long }]\n", "is no length of time");
    has("  freezes: [{ name: a, yearly: [01-01], timezone: Mars }]\n", "is no IANA time zone");
}
