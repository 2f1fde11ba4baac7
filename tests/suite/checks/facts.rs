//! Custom facts: what `check` says of each file and of each of its columns.

use serde_json::json;

use super::{Answers, check};
use crate::embedded::{better, day};
use crate::facts::{COSTS, METRICS, live, with_invoices};

#[tokio::test]
async fn a_fact_is_rehearsed_and_every_wrong_column_named() {
    let mut world = with_invoices(better("steady")).await;
    for n in 0..2 {
        live(&mut world, n, true).await;
    }
    let answers = Answers::of(check(&world, "metrics,configuration"), 0).await;
    answers
        .say(
            "metrics",
            "fact costs",
            "ok",
            "queries/facts/costs.sql gives unit_id (TEXT), timestamp (TEXT), cost (REAL)",
        )
        .say("metrics", "fact costs", "ok", "rows of 2026-03-03")
        .say("metrics", "cost_per_plan", "ok", "its query is sound; looked at ")
        .say("metrics", "cost_per_plan", "ok", " costs, ");
    assert!(!answers.states("configuration").contains(&"warn"), "{:#?}", answers.0);

    // Several wrong columns of one file, and a file that nobody needs.
    world.write(
        "queries/facts/costs.sql",
        &COSTS
            .replace("customer AS unit_id", "customer")
            .replace("billed_at AS", "rowid AS")
            .replace("AS cost", "AS costs"),
    );
    world.write("queries/facts/old.sql", "SELECT 1");
    let answers = Answers::of(check(&world, "metrics,configuration"), 1).await;
    answers
        .say("metrics", "fact costs", "fail", "costs.sql: there is no column `unit_id`, but customer, timestamp, costs")
        .say("metrics", "fact costs", "fail", "write whose row it is as `… AS unit_id`")
        .say("metrics", "fact costs", "fail", "`timestamp` is INTEGER, where an instant belongs")
        .say("metrics", "fact costs", "fail", "write `datetime(…, 'unixepoch') AS \"timestamp\"`")
        .say("metrics", "fact costs", "fail", "there is no column `cost`, but customer, timestamp, costs, which")
        .say("metrics", "fact costs", "fail", "metrics.yml:8 reads")
        .say("metrics", "fact costs", "fail", "did you mean `costs`?")
        .say("metrics", "cost_per_plan", "fail", "metrics.yml:8: fact costs cannot be read")
        .say("metrics", "acceptance_rate", "ok", "its query is sound")
        .say("configuration", "unused facts", "warn", "no metric reads old");
    assert_eq!(answers.states("metrics").iter().filter(|state| **state == "fail").count(), 4, "{:#?}", answers.0);

    // SQL that is none; and a table that is not there.
    world.write("queries/facts/costs.sql", "SELECT customer AS unit_id FORM invoices GROUP");
    Answers::of(check(&world, "metrics"), 1).await.say(
        "metrics",
        "fact costs",
        "fail",
        "costs.sql: the SQL of fact costs cannot be run",
    );
    world.write("queries/facts/costs.sql", &COSTS.replace("invoices", "invoyces"));
    Answers::of(check(&world, "metrics"), 1).await.say("metrics", "fact costs", "fail", "no such table: invoyces");
}

#[tokio::test]
async fn the_rows_of_a_fact_are_looked_at_as_events_are() {
    let mut world = with_invoices(better("steady")).await;
    live(&mut world, 0, true).await;
    live(&mut world, 1, true).await;
    world.sql("UPDATE invoices SET amount = 'dear' WHERE rowid % 2 = 0").await;
    let answers = Answers::of(check(&world, "metrics"), 1).await;
    answers.say("metrics", "cost_per_plan", "fail", "metrics.yml:8: cost is no number in ").say(
        "metrics",
        "cost_per_plan",
        "fail",
        " rows of fact costs of 2026-03-03",
    );
    world.sql("UPDATE invoices SET amount = NULL").await;
    Answers::of(check(&world, "metrics"), 1).await.say(
        "metrics",
        "cost_per_plan",
        "fail",
        "cost is in none of 1000 rows of fact costs",
    );
    world.sql("UPDATE invoices SET amount = 1, customer = CASE WHEN rowid % 2 = 0 THEN customer END").await;
    Answers::of(check(&world, "metrics"), 0).await.say("metrics", "fact costs", "warn", "`unit_id` is null in ");
    world.sql("UPDATE invoices SET billed_at = 'in the morning' WHERE rowid = 1").await;
    Answers::of(check(&world, "metrics"), 1).await.say(
        "metrics",
        "fact costs",
        "fail",
        "`timestamp` is no instant in 1 of some rows",
    );
    // Events of a day whose invoices are not there yet.
    world.sql("DELETE FROM invoices WHERE billed_at >= '2026-03-03' OR rowid = 1").await;
    let answers = Answers::of(check(&world, "metrics"), 0).await;
    answers.say("metrics", "cost_per_plan", "warn", "metrics.yml:8: there is no row of fact costs on 2026-03-03");
    // The folder may lie elsewhere.
    world.settings["facts"] = json!("elsewhere");
    world.configure();
    std::fs::rename(world.path("queries/facts"), world.path("elsewhere")).unwrap();
    world.write("metrics.yml", &METRICS.replace("sum: cost", "count_above: { field: cost, threshold: 0.5 }"));
    let answers = Answers::of(check(&world, "metrics"), 0).await;
    answers.say("metrics", "fact costs", "ok", "elsewhere/costs.sql gives");
    assert_eq!(day(1).to_string(), "2026-03-03");
}
