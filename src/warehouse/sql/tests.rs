//! The statement as PostgreSQL sees it, and the rules that its text keeps.

use super::*;
use crate::domain::{EpochSpan, Metric, TableName};
use crate::warehouse::fixture::{EXPERIMENT, above, at, count, experiment, mean, ratio, request, sum};
use crate::warehouse::instants::DAY;

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
    let needs = Needs::of(&request).unwrap();
    for (name, statement) in statements(&needs, Source::UniqueAssignments) {
        insta::assert_snapshot!(format!("one_statement_serves_all_metrics_{name}"), statement.sql);
    }
    let micros = |text: &str| Bind::Instant(at(text).as_microsecond());
    let (_, statement) = statements(&needs, Source::UniqueAssignments).remove(0);
    assert_eq!(
        statement.binds,
        [
            // The spans are cut to the dates, and the one that lies outside them is gone.
            micros("2026-01-05T00:00:00Z"),
            micros("2026-01-05T02:00:00Z"),
            Bind::Integer(0),
            micros("2026-01-05T02:15:00Z"),
            micros("2026-01-07T00:00:00Z"),
            Bind::Integer(1),
            Bind::Key(EXPERIMENT.parse().unwrap()),
            Bind::Text("plan_accepted".to_owned()),
            Bind::Text("plan_generated".to_owned()),
            Bind::Text("user".to_owned()),
            Bind::Length(86_400_000_000),
            micros("2026-01-05T00:00:00Z"),
            micros("2026-01-08T00:00:00Z"),
            Bind::Float(2000.0),
        ]
    );
}

/// The statement of every engine, from tables that are called alike.
fn statements(needs: &Needs, source: Source) -> Vec<(&'static str, Statement)> {
    let tables = Tables::of_schema("exp");
    let held = |columns: &[(&str, &str)]| columns.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let typed = Typed {
        events: held(&[("timestamp", "DateTime"), ("latency_ms", "Float64"), ("payload.price", "Float64")]),
        assignments: held(&[("assigned_at", "DateTime")]),
    };
    let place = Place { tables: &tables, source, cluster: None };
    // No engine of ClickHouse's keeps a key unique.
    let repeated = if source == Source::UniqueAssignments { Source::Assignments } else { source };
    let sharded = Place { tables: &tables, source: repeated, cluster: Some("shards") };
    vec![
        ("postgres", compile(needs, &Postgres, &place).unwrap()),
        ("sqlite", compile(needs, &Sqlite, &place).unwrap()),
        ("mysql", compile(needs, &Mysql, &place).unwrap()),
        ("clickhouse", compile(needs, &Clickhouse(typed), &sharded).unwrap()),
    ]
}

#[test]
fn exposures_are_read_from_assignments_that_repeat_and_from_events() {
    let experiment = experiment();
    let metrics = [mean("price", sum("plan_accepted", "payload.price"))];
    let needs = Needs::of(&request(&experiment, &metrics, "2026-01-05", "2026-01-06")).unwrap();
    for (of, source) in [("assignments", Source::Assignments), ("events", Source::Events)] {
        for (name, statement) in statements(&needs, source) {
            insta::assert_snapshot!(format!("exposures_from_{of}_{name}"), statement.sql);
        }
    }
}

#[test]
fn what_was_before_exposure_is_numbered_behind_what_is_inside() {
    let experiment = experiment();
    let with = |days| Metric {
        covariate_days: Some(days),
        ..ratio("price", sum("plan_accepted", "payload.price"), count("plan_generated"))
    };
    let all = |days| std::iter::once(with(days)).chain(with(days).companions()).collect::<Vec<Metric>>();
    let metrics = all(7);
    let needs = Needs::of(&request(&experiment, &metrics, "2026-01-05", "2026-01-06")).unwrap();
    assert_eq!(needs.exposed_from - needs.events_from, 7 * DAY);
    let places: Vec<usize> = needs.sums.iter().map(|sum| sum.event).collect();
    // Accepted and generated inside the window, then both before.
    assert_eq!((needs.inside(), places), (2, vec![0, 1, 2, 3]));
    for (name, statement) in statements(&needs, Source::Assignments) {
        let plain = Needs::of(&request(&experiment, &metrics[..1], "2026-01-05", "2026-01-06")).unwrap();
        let (_, without) = statements(&plain, Source::Assignments).into_iter().find(|(of, _)| *of == name).unwrap();
        assert!(statement.sql.contains("event < 2"), "{name}: only what is inside is counted: {}", statement.sql);
        assert!(!without.sql.contains("event < 2"), "{name}");
    }
    let mixed: Vec<Metric> = all(7).into_iter().chain(all(14)).collect();
    let error = Needs::of(&request(&experiment, &mixed, "2026-01-05", "2026-01-05")).unwrap_err().to_string();
    assert!(error.contains("counts events of 14 days before exposure among metrics of 7 days"), "{error}");
}

#[test]
fn no_value_is_written_into_the_text() {
    let evil = "x'; DROP TABLE exp.events; --";
    let metrics = [mean("m", count(evil))];
    let mut experiment = experiment();
    experiment.unit_type = evil.to_owned();
    let needs = Needs::of(&request(&experiment, &metrics, "2026-01-05", "2026-01-05")).unwrap();
    for source in [Source::UniqueAssignments, Source::Assignments, Source::Events] {
        for (name, statement) in statements(&needs, source) {
            match name {
                // Its values stand in the text, and none of them can end the quotes that it stands in.
                "clickhouse" => {
                    let escaped = "'x\\'; DROP TABLE exp.events; --'";
                    let all = statement.sql.matches("DROP").count();
                    assert!(all > 0 && statement.sql.matches(escaped).count() == all, "{}", statement.sql);
                }
                _ => {
                    assert!(!statement.sql.contains("DROP"), "{name}: {}", statement.sql);
                    assert!(statement.binds.contains(&Bind::Text(evil.to_owned())), "{name}");
                }
            }
        }
    }
    assert_eq!(Postgres.quote("a\"b"), "\"a\"\"b\"");
    assert_eq!(Mysql.quote("a`b"), "`a``b`");
    assert_eq!(Clickhouse(Typed::default()).table(&TableName::of("a`b", "c\\d")), "`a\\`b`.`c\\\\d`");
    assert_eq!(literal("a'b\\c\n"), r"'a\'b\\c\n'");
}

#[test]
fn overlapping_spans_are_refused() {
    let (metrics, experiment) = ([mean("m", count("e"))], experiment());
    let mut request = request(&experiment, &metrics, "2026-01-05", "2026-01-05");
    request.spans.push(EpochSpan { epoch: 1, from: at("2026-01-05T12:00:00Z"), to: at("2026-02-01T00:00:00Z") });
    let error = Needs::of(&request).unwrap_err().to_string();
    assert!(error.contains("the spans of epochs 0 and 1 overlap"), "{error}");
}
