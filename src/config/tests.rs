//! Faults are told at once, each with its place.

use std::fs;

use super::*;

const SETTINGS: &str =
    "control: { url: \"sqlite:control.db\" }\nwarehouse: { lake: { path: lake } }\nregistry: { local: {} }\n";
const METRICS: &str = "\
metrics:
  acceptance_rate:
    direction: increase
    numerator: { event: plan_accepted }
    denominator: { event: plan_generated }
";
const PROMOTION: &str = "defaults:\n  guardrails:\n    - { metric: acceptance_rate, margin: 0.05 }\n";

fn load_from(settings: &str, metrics: &str, promotion: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rampkeeper.yml"), settings).unwrap();
    fs::write(dir.path().join("metrics.yml"), metrics).unwrap();
    fs::write(dir.path().join("promotion.yml"), promotion).unwrap();
    load(&dir.path().join("rampkeeper.yml")).map_err(|e| e.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
}

#[test]
fn a_small_configuration_gets_the_routes_own_ramp() {
    let config = load_from(SETTINGS, METRICS, PROMOTION).unwrap();
    let policy = config.policies.of("anything");
    let ramp: Vec<_> =
        policy.stages.iter().map(|s| (s.allocation.ten_thousandths(), s.min_days, s.min_units)).collect();
    assert_eq!(ramp, [(1000, 3, 1000), (2500, 5, 1000), (5000, 7, 1000)]);
    assert_eq!(policy.control, "control");
}

#[test]
fn every_fault_of_every_file_is_told_with_its_line() {
    let settings = SETTINGS.replace("registry:", "registri:");
    let metrics = format!(
        "{METRICS}  broken:\n    direction: sideways\n    value: {{ event: x, sum: cost }}\n    windw_days: 2\n"
    );
    let promotion = "defaults:\n  guardrails:\n    - { metric: acceptance_rate, marign: 0.05 }\n";
    let told = load_from(&settings, &metrics, promotion).unwrap_err();
    insta::assert_snapshot!(told, @r#"
    the configuration has 5 faults; nothing was touched
      DIR/metrics.yml:7:5: metrics.broken.direction: "sideways" is not one of "increase" or "decrease"
      DIR/metrics.yml:9:5: metrics.broken.windw_days: unknown key `windw_days`; did you mean `window_days`?
      DIR/promotion.yml:3:34: defaults.guardrails.0.marign: unknown key `marign`; did you mean `margin`?
      DIR/rampkeeper.yml:1:1: key `registry` is missing here
      DIR/rampkeeper.yml:3:1: registri: unknown key `registri`; did you mean `registry`?
    "#);
}

#[test]
fn meaning_is_checked_beyond_the_schema() {
    let promotion = "\
defaults:
  stages:
    - { allocation: 0.5, min_days: 3 }
    - { allocation: 0.25, min_days: 3 }
  guardrails:
    - { metric: acceptance_rat, margin: 0.05 }
    - { metric: acceptance_rate }
    - { metric: acceptance_rate, margin: 5 }
  alphas: { rollback: 0.7 }
experiments:
  one:
    guardrails: [{ metric: acceptance_rate, ceiling: 0.2 }]
";
    let told = load_from(SETTINGS, METRICS, promotion).unwrap_err();
    insta::assert_snapshot!(told, @r"
    the configuration has 6 faults; nothing was touched
      DIR/promotion.yml:4:9: defaults.stages.1.allocation: allocations must rise from stage to stage, but 25 % follows 50 %
      DIR/promotion.yml:6:9: defaults.guardrails.0.metric: metric `acceptance_rat` is not declared in the metrics file; did you mean `acceptance_rate`?
      DIR/promotion.yml:7:7: defaults.guardrails.1: a guardrail without a condition judges nothing; give `margin`, `ceiling` or `floor`
      DIR/promotion.yml:8:34: defaults.guardrails.2.margin: a margin must lie strictly between 0 and 1, but this is 5; five percent is 0.05
      DIR/promotion.yml:9:13: defaults.alphas.rollback: an error rate (alpha) must lie strictly between 0 and 0.5, but this is 0.7
      DIR/promotion.yml:12:18: experiments.one.guardrails.0: a ceiling guards a metric whose direction is decrease; this one should increase
    ");
}

#[test]
fn a_password_must_not_stand_in_the_file() {
    let settings = SETTINGS.replace("sqlite:control.db", "postgres://rampkeeper:hunter2@db/app");
    let told = load_from(&settings, METRICS, PROMOTION).unwrap_err();
    assert!(told.contains("a password must not stand in the file"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_syntax_error_has_its_place() {
    let told = load_from(SETTINGS, "metrics: [unclosed\n", PROMOTION).unwrap_err();
    assert!(told.contains("DIR/metrics.yml:"), "{told}");
    let told = load_from(SETTINGS, &format!("{METRICS}metrics: {{}}\n"), PROMOTION).unwrap_err();
    assert!(told.contains("DIR/metrics.yml:6:1"), "{told}");
}

#[test]
fn a_missing_file_is_named() {
    let missing = load(Path::new("nowhere/rampkeeper.yml")).unwrap_err().to_string();
    assert!(missing.contains("nowhere/rampkeeper.yml"), "{missing}");
}
