//! The statement as PostgreSQL sees it, and the rules that its text keeps.

use super::*;
use crate::domain::EpochSpan;
use crate::warehouse::fixture::{EXPERIMENT, above, at, count, experiment, mean, ratio, request, sum};

#[test]
fn one_statement_serves_all_metrics() {
    let metrics = [
        ratio("acceptance", count("plan_accepted"), count("plan_generated")),
        ratio("latency", sum("plan_generated", "latency_ms"), count("plan_generated")),
        ratio("slow", above("plan_generated", "latency_ms", 2000.0), count("plan_generated")),
        mean("price", sum("plan_accepted", "payload.price")),
    ];
    let experiment = experiment();
    let mut request = request(&experiment, &metrics, "2026-01-05", "2026-01-06");
    request.spans = vec![
        EpochSpan { epoch: 0, from: at("2026-01-01T00:00:00Z"), to: at("2026-01-05T02:00:00Z") },
        EpochSpan { epoch: 1, from: at("2026-01-05T02:15:00Z"), to: at("2026-02-01T00:00:00Z") },
        EpochSpan { epoch: 2, from: at("2026-02-01T00:15:00Z"), to: at("2026-03-01T00:00:00Z") },
    ];
    let statement = compile(&Needs::of(&request).unwrap(), &Postgres).unwrap();
    insta::assert_snapshot!(statement.sql);
    let micros = |text: &str| Bind::Instant(at(text).as_microsecond());
    assert_eq!(
        statement.binds,
        [
            Bind::Key(EXPERIMENT.parse().unwrap()),
            Bind::Text("user".to_owned()),
            micros("2026-01-05T00:00:00Z"),
            micros("2026-01-08T00:00:00Z"),
            Bind::Length(86_400_000_000),
            // The spans are cut to the dates, and the one that lies outside them is gone.
            micros("2026-01-05T00:00:00Z"),
            micros("2026-01-05T02:00:00Z"),
            Bind::Integer(0),
            micros("2026-01-05T02:15:00Z"),
            micros("2026-01-07T00:00:00Z"),
            Bind::Integer(1),
            Bind::Text("plan_accepted".to_owned()),
            Bind::Text("plan_generated".to_owned()),
            Bind::Float(2000.0),
        ]
    );
}

#[test]
fn no_value_is_written_into_the_text() {
    let evil = "x'; DROP TABLE exp.events; --";
    let metrics = [mean("m", count(evil))];
    let mut experiment = experiment();
    experiment.unit_type = evil.to_owned();
    let statement =
        compile(&Needs::of(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).unwrap(), &Postgres).unwrap();
    assert!(!statement.sql.contains("DROP"), "{}", statement.sql);
    assert_eq!(statement.binds.iter().filter(|bind| **bind == Bind::Text(evil.to_owned())).count(), 2);
    assert_eq!(Postgres.quote("a\"b"), "\"a\"\"b\"");
    assert_eq!(Postgres.json_member("m", "a'b"), "m -> 'a''b'");
}

#[test]
fn overlapping_spans_are_refused() {
    let (metrics, experiment) = ([mean("m", count("e"))], experiment());
    let mut request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    request.spans.push(EpochSpan { epoch: 1, from: at("2026-01-05T12:00:00Z"), to: at("2026-02-01T00:00:00Z") });
    let error = Needs::of(&request).unwrap_err().to_string();
    assert!(error.contains("the spans of epochs 0 and 1 overlap"), "{error}");
}
