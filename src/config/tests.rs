//! Faults are told at once, each with its place.

use std::fs;

use jiff::civil::date;

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
fn a_covariate_has_days_and_belongs_to_units() {
    let metrics = |text: &str| format!("{METRICS}{text}");
    let good = metrics("    covariate: { days: 14 }\n");
    let config = load_from(SETTINGS, &good, PROMOTION).unwrap();
    assert_eq!(config.metrics["acceptance_rate"].covariate_days, Some(14));
    let bad = metrics(
        "    covariate: { days: 91 }
  b¦yx:
    direction: increase
    value: { event: x }
    covariate: 14
  from_events:
    direction: increase
    aggregate: { mean: latency_ms, design_effect: 4 }
    covariate: { days: 7 }
",
    );
    let told = load_from(SETTINGS, &bad, PROMOTION).unwrap_err();
    insta::assert_snapshot!(told, @r"
    the configuration has 2 faults; nothing was touched
      DIR/metrics.yml:6:18: metrics.acceptance_rate.covariate.days: 91 is greater than the maximum of 90
      DIR/metrics.yml:10:5: metrics.b¦yx.covariate: this must be a mapping of keys to values, but it is a whole number
    ");
    let other = bad.replace("days: 91", "days: 90").replace("covariate: 14", "covariate: { days: 1 }");
    let told = load_from(SETTINGS, &other, PROMOTION).unwrap_err();
    assert!(told.starts_with("the configuration has 2 faults;"), "{told}");
    for part in ["metrics.b¦yx: `¦` does not go into", "metrics.from_events.covariate: aggregates know no unit's past"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_password_must_not_stand_in_the_file() {
    let settings = SETTINGS.replace("sqlite:control.db", "postgres://rampkeeper:hunter2@db/app");
    let told = load_from(&settings, METRICS, PROMOTION).unwrap_err();
    assert!(told.contains("a password must not stand in the file"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn no_fault_repeats_what_may_be_a_secret() {
    let mlflow = |url: &str| SETTINGS.replace("local: {}", &format!("mlflow: {{ url: {url} }}"));
    let control = |entry: &str| SETTINGS.replace("{ url: \"sqlite:control.db\" }", entry);
    for (settings, right) in [
        (control("{ url: 'postgres://u@db/app', password: hunter2 }"), "`password: { env: NAME }` or `{ file: PATH }`"),
        (control("{ url: 'postgres://u@db/app', password: nullhunter2 }"), "write `password: { env: NAME }`"),
        (control("{ url: 'postgres://u@db/app', password: { hunter2 } }"), "write `password: { env: NAME }`"),
        (control("{ url: 'postgres://u@db/app', password: { file: [hunter2] } }"), "write `password: { env: NAME }`"),
        (control("{ url_from: 'postgres://u:hunter2@db/app' }"), "write `url_from: { env: NAME }`"),
        (control("postgres://u:hunter2@db/app"), "this must be a mapping of keys to values, but it is text"),
        (control("{ url: 'postgres://u:hunter2@db:port/app' }"), "this is no address: invalid port number"),
        (control("{ url: 'postgres://u@db/app?password=hunter2' }"), "a password must not stand in the file"),
        (control("{ url: 'postgres://u@db/app?a=b&sslPassword=hunter2' }"), "a password must not stand in the file"),
        (mlflow("'u:hunter2@mlflow'"), "this kind of address is not supported; write http://…, https://…, databricks"),
        (mlflow("'//u:hunter2@mlflow'"), "this is no address"),
        (mlflow("'http://u:hunter2@mlflow:5000'"), "use `username` and `password: { env: NAME }`"),
        (mlflow("'http://hunter2@mlflow:5000'"), "a user does not go into the address"),
        (format!("{SETTINGS}mail: {{ from: a@b.c, to: [a@b.c], smtp: 'smtp://u:hunter2@h' }}\n"), "it is text"),
    ] {
        let told = load_from(&settings, METRICS, PROMOTION).unwrap_err();
        assert!(told.contains(right), "{settings}\n{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.starts_with("the configuration has 1 fault;"), "{told}");
    }
}

#[test]
fn accepted_days_are_dates() {
    let with = |days: &str| format!("{SETTINGS}evidence: {{ accept_days: {days} }}\n");
    let config = load_from(&with("[2026-03-02, 2026-03-04]"), METRICS, PROMOTION).unwrap();
    assert_eq!(config.settings.evidence.accept_days, [date(2026, 3, 2), date(2026, 3, 4)]);
    let told = load_from(&with("[2026-03-02, 2026-02-30, 3]"), METRICS, PROMOTION).unwrap_err();
    insta::assert_snapshot!(told, @r#"
    the configuration has 2 faults; nothing was touched
      DIR/rampkeeper.yml:4:39: evidence.accept_days.1: "2026-02-30" is no date; write it as 2026-03-31
      DIR/rampkeeper.yml:4:51: evidence.accept_days.2: this must be text, but it is a whole number
    "#);
}

#[test]
fn missing_guardrails_are_told_beside_other_faults() {
    let promotion = "\
defaults:
  alphas: { rollback: 0.7 }
experiments:
  one: { materiality: 0.3 }
  two: { guardrails: [{ metric: acceptance_rate, margin: 0.05 }] }
";
    let told = load_from(SETTINGS, METRICS, promotion).unwrap_err();
    insta::assert_snapshot!(told, @r"
    the configuration has 2 faults; nothing was touched
      DIR/promotion.yml:1:1: defaults.guardrails: at least one guardrail is needed; without one nothing could be judged harmful
      DIR/promotion.yml:2:13: defaults.alphas.rollback: an error rate (alpha) must lie strictly between 0 and 0.5, but this is 0.7
    ");
}

#[test]
fn faulty_metrics_hide_no_fault_of_the_promotion_file() {
    let metrics = METRICS.replace("increase", "upwards");
    let promotion = format!("{PROMOTION}  alphas: {{ rollback: 0.7 }}\n");
    let told = load_from(SETTINGS, &metrics, &promotion).unwrap_err();
    insta::assert_snapshot!(told, @r#"
    the configuration has 2 faults; nothing was touched
      DIR/metrics.yml:3:5: metrics.acceptance_rate.direction: "upwards" is not one of "increase" or "decrease"
      DIR/promotion.yml:4:13: defaults.alphas.rollback: an error rate (alpha) must lie strictly between 0 and 0.5, but this is 0.7
    "#);
}

#[test]
fn the_last_night_lies_after_the_stages() {
    let with = |nights: u32, experiments: &str| format!("{PROMOTION}  max_nights: {nights}\n{experiments}");
    let config = load_from(SETTINGS, METRICS, &with(15, "experiments: { one: { max_nights: 40 } }")).unwrap();
    assert_eq!(config.policies.of("one").max_nights, Some(40));
    assert_eq!(config.policies.of("two").max_nights, Some(15));
    assert_eq!(load_from(SETTINGS, METRICS, PROMOTION).unwrap().policies.of("one").max_nights, None);
    let experiments = "\
experiments:
  inherits: { materiality: 0.3 }
  shorter: { stages: [{ allocation: 0.5, min_days: 14 }] }
  longer: { stages: [{ allocation: 0.5, min_days: 16 }] }
  later: { max_nights: 15 }
";
    let told = load_from(SETTINGS, METRICS, &with(14, experiments)).unwrap_err();
    insta::assert_snapshot!(told, @r"
    the configuration has 2 faults; nothing was touched
      DIR/promotion.yml:4:3: defaults.max_nights: the stages take at least 15 nights (the sum of their `min_days`), so with `max_nights: 14` promotion would never be tested; give 15 or more, or shorten the stages
      DIR/promotion.yml:8:13: experiments.longer.stages: the stages take at least 16 nights (the sum of their `min_days`), so with `max_nights: 14` promotion would never be tested; give 16 or more, or shorten the stages
    ");
    let told = load_from(SETTINGS, METRICS, &with(0, "")).unwrap_err();
    assert!(told.contains("defaults.max_nights: 0 is less than the minimum of 1"), "{told}");
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

#[test]
fn encryption_that_checks_nothing_is_not_mixed_with_an_authority() {
    let settings = "\
control: { url: \"postgres://guard@db/app?sslmode=sometimes\" }
warehouse: { postgres: { url: \"postgres://guard@db/app?sslmode=require\", ca_file: ca.pem } }
registry: { mlflow: { url: \"http://mlflow:5000\", ca_file: ca.pem } }
";
    let told = load_from(settings, METRICS, PROMOTION).unwrap_err();
    insta::assert_snapshot!(told, @r"
    the configuration has 3 faults; nothing was touched
      DIR/rampkeeper.yml:1:12: control.url: this `sslmode` is not one of disable, allow, prefer, require, verify-ca, verify-full
      DIR/rampkeeper.yml:2:74: warehouse.postgres.ca_file: this `sslmode` checks no certificate, so `ca_file` would be of no use; leave `sslmode` out
      DIR/rampkeeper.yml:3:50: registry.mlflow.ca_file: http has no certificate to check; write https://… as the `url`
    ");
    let embedded = SETTINGS.replace("control.db\"", "control.db\", ca_file: ca.pem");
    let told = load_from(&embedded, METRICS, PROMOTION).unwrap_err();
    assert!(told.contains("control.ca_file: SQLite is a file"), "{told}");
    let sound = settings.replace("?sslmode=sometimes", "").replace("require", "verify-ca").replace("http:", "https:");
    assert!(load_from(&sound, METRICS, PROMOTION).is_ok());
}

#[test]
fn a_digest_has_readers_and_says_something() {
    let with = |mail: &str| format!("{SETTINGS}mail:\n  from: a@b.c\n  to: [a@b.c]\n  directory: mails\n{mail}");
    let mail = "  quiet: skip\n  actions: [rollback, ramp]\n  attach: [csv]\n  templates: own\n  digests:\n    - to: [x@b.c]\n      \
                experiments: [planner_*]\n      tell: [needs_you, broken]\n";
    let config = load_from(&with(mail), METRICS, PROMOTION).unwrap();
    let entry = config.settings.mail.unwrap();
    assert_eq!((entry.quiet, entry.owners, entry.attach), (QuietWord::Skip, None, vec![AttachWord::Csv]));
    assert_eq!(entry.digests[0].tell.as_deref(), Some(&[TellWord::NeedsYou, TellWord::Broken][..]));
    let told = load_from(
        &with("  digests:\n    - to: []\n    - { to: [nobody], experiments: [], tell: [] }\n"),
        METRICS,
        PROMOTION,
    )
    .unwrap_err();
    for empty in ["mail.digests.0.to", "mail.digests.1.experiments", "mail.digests.1.tell"] {
        assert!(told.contains(&format!("{empty}: [] has less than 1 item")), "{empty}: {told}");
    }
    let told = load_from(&with("  digests:\n    - { to: [nobody] }\n"), METRICS, PROMOTION).unwrap_err();
    assert!(told.contains("is no mail address"), "{told}");
}
