//! config/grants/postgres.sql is neither too little nor too much, and `check` tells both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;

use super::Answers;
use crate::embedded::World;
use crate::support::postgres::Postgres;
use crate::support::users::{self, GRANTS, as_user};

/// A migrated database whose experiment tables belong to another, with the program's users.
struct Granted {
    postgres: &'static Postgres,
    url: String,
    world: World,
}

impl Granted {
    async fn new(name: &str, options: &[&str]) -> Granted {
        let postgres = Postgres::shared().await;
        let url = postgres.database(name).await;
        let mut world = World::bare(vec![]);
        world.settings["control"] = json!({ "url_from": { "env": "RAMPKEEPER_TEST_CONTROL" } });
        world.settings["warehouse"] = json!({ "postgres": { "url_from": { "env": "RAMPKEEPER_TEST_WAREHOUSE" } } });
        world.configure();
        let granted = Granted { postgres, url, world };
        let tables = "queries/migrations/postgres/0001_experiment_tables.sql";
        postgres.file(&granted.url, tables, &[]).await;
        users::make(postgres).await;
        postgres.file(&granted.url, GRANTS, options).await;
        let migrated = crate::embedded::told(granted.command(&["migrate"], "migrate")).await.expect(0);
        assert!(migrated.out.contains("up to date"));
        postgres.file(&granted.url, GRANTS, options).await;
        granted
    }

    /// A command whose control store is reached as that user.
    fn command(&self, arguments: &[&str], user: &str) -> Command {
        let mut command = self.world.command(arguments);
        let address = if user == "postgres" { self.url.clone() } else { as_user(&self.url, user) };
        command.env("RAMPKEEPER_TEST_CONTROL", address);
        command.env("RAMPKEEPER_TEST_WAREHOUSE", as_user(&self.url, "warehouse"));
        command
    }

    async fn check(&self, area: &str, code: i32) -> Answers {
        Answers::of(self.command(&["check", "--only", area], "control"), code).await
    }

    async fn sql(&self, statements: &str) -> String {
        self.postgres.sql(&self.url, statements).await
    }

    /// Everything that was granted to a user in this database, as GRANT and REVOKE name it.
    async fn held(&self, user: &str) -> BTreeSet<String> {
        let told = self
            .sql(&format!(
                "SELECT format('%s ON %I.%I', x.privilege_type, n.nspname, c.relname)
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x
                 WHERE x.grantee = 'rampkeeper_{user}'::regrole
                   AND x.grantee <> c.relowner AND n.nspname IN ('exp', 'rampkeeper')
                 UNION ALL
                 SELECT format('%s (%I) ON %I.%I', x.privilege_type, a.attname, n.nspname, c.relname)
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
                      aclexplode(a.attacl) x
                 WHERE x.grantee = 'rampkeeper_{user}'::regrole AND n.nspname IN ('exp', 'rampkeeper')
                 UNION ALL
                 SELECT format('%s ON SCHEMA %I', x.privilege_type, n.nspname)
                 FROM pg_namespace n, aclexplode(n.nspacl) x
                 WHERE x.grantee = 'rampkeeper_{user}'::regrole AND n.nspname IN ('exp', 'rampkeeper')"
            ))
            .await;
        told.lines().map(str::to_owned).collect()
    }
}

/// The statements that the program runs in the control store, by file.
fn statements() -> Vec<(PathBuf, String)> {
    let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut found = Vec::new();
    for folder in ["control", "registry"] {
        for entry in queries.join(folder).read_dir().unwrap() {
            let path = entry.unwrap().path();
            let sql = std::fs::read_to_string(&path).unwrap();
            found.push((path, sql));
        }
    }
    found.sort();
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// How many parameters a statement has.
fn parameters(sql: &str) -> usize {
    (1..20).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0)
}

/// Prepares every statement under a name, and gives the EXPLAIN of each: the server then checks who may do that, and does
/// nothing.
async fn prepare(connection: &mut PgConnection) -> Vec<(PathBuf, String)> {
    let mut explains = Vec::new();
    for (n, (path, sql)) in statements().into_iter().enumerate() {
        run(connection, &format!("PREPARE s{n} AS {sql}")).await.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let values = vec!["NULL"; parameters(&sql)].join(", ");
        let values = if values.is_empty() { values } else { format!("({values})") };
        explains.push((path, format!("EXPLAIN EXECUTE s{n}{values}")));
    }
    explains
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(|_| ())
}

/// Whether the server denied it; any other failure is one of this test.
fn denied(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42501"))
}

/// Held by the statements themselves: a new one that needs more fails here, and so does a grant that none needs any more.
#[tokio::test]
async fn the_control_user_may_do_what_its_statements_need_and_nothing_beside() {
    let granted = Granted::new("granted", &["-v", "local_registry=1"]).await;
    let mut connection = PgConnection::connect(&granted.url).await.unwrap();
    let explains = prepare(&mut connection).await;
    run(&mut connection, "SET ROLE rampkeeper_control").await.unwrap();
    for (path, explain) in &explains {
        let done = run(&mut connection, explain).await;
        assert!(done.is_ok(), "{} needs more than is granted: {:?}", path.display(), done.unwrap_err());
    }
    run(&mut connection, "RESET ROLE").await.unwrap();
    let held = granted.held("control").await;
    assert!(held.len() > 80, "{held:?}");
    let mut idle = Vec::new();
    for privilege in &held {
        let mut needed = false;
        for (_, explain) in &explains {
            let one = format!("BEGIN; REVOKE {privilege} FROM rampkeeper_control; SET LOCAL ROLE rampkeeper_control");
            run(&mut connection, &one).await.unwrap_or_else(|error| panic!("{privilege}: {error}"));
            let done = run(&mut connection, explain).await;
            run(&mut connection, "ROLLBACK").await.unwrap();
            if let Err(error) = done {
                assert!(denied(&error), "{privilege}: {error}");
                needed = true;
                break;
            }
        }
        if !needed {
            idle.push(privilege);
        }
    }
    assert!(idle.is_empty(), "granted, and needed by no statement: {idle:?}");
}

#[tokio::test]
async fn the_warehouse_user_may_read_what_its_queries_need_and_nothing_beside() {
    let granted = Granted::new("granted_warehouse", &["-v", "payload=1"]).await;
    let metrics = include_str!("../../../config/metrics.example.yml");
    let price = "  price:\n    direction: decrease\n    value: { event: plan_generated, sum: payload.price }\n";
    granted.world.write("metrics.yml", &format!("{metrics}{price}"));
    granted
        .sql(
            "INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, timestamp)
             VALUES ('plan_generated', 'user', 'u', '{\"cost\": 1, \"latency_ms\": 1}', now() - interval '1 day')",
        )
        .await;
    let areas = "warehouse,metrics";
    let held = granted.held("warehouse").await;
    assert_eq!(held.len(), 11, "{held:?}");
    for privilege in &held {
        granted.sql(&format!("REVOKE {privilege} FROM rampkeeper_warehouse")).await;
        Answers::of(granted.command(&["check", "--only", areas], "control"), 1).await;
        granted.sql(&format!("GRANT {privilege} TO rampkeeper_warehouse")).await;
    }
    // `price` is in no event, and that is all that is wrong.
    let answers = Answers::of(granted.command(&["check", "--only", areas], "control"), 1).await;
    answers.say("metrics", "price", "fail", "payload.price is in none of 1 events");
    assert_eq!(answers.states("warehouse"), ["ok"; 4], "{:#?}", answers.0);
}

/// With aggregates in place of events, the user needs these columns and no others.
#[tokio::test]
async fn aggregates_are_read_with_their_own_grants_alone() {
    let mut granted = Granted::new("granted_aggregates", &["-v", "local_registry=1", "-v", "aggregates=1"]).await;
    granted.world.settings["warehouse"]["aggregates"] = json!({});
    granted.world.configure();
    granted.world.write(
        "metrics.yml",
        "metrics:
  acceptance_rate: { direction: increase, aggregate: { rate: accepted, of: generated, design_effect: 1 } }
  cost_per_plan: { direction: decrease, aggregate: { mean: cost, design_effect: 1 } }
",
    );
    // To read more than is needed is no fault.
    assert_eq!(granted.check("grants", 0).await.states("grants"), ["ok", "ok"]);
    granted.sql("REVOKE ALL ON exp.events, exp.assignments FROM rampkeeper_warehouse").await;
    assert_eq!(granted.check("grants", 0).await.states("grants"), ["ok", "ok"]);
    let held = granted.held("warehouse").await;
    assert_eq!(held.len(), 9, "{held:?}");
    for privilege in &held {
        granted.sql(&format!("REVOKE {privilege} FROM rampkeeper_warehouse")).await;
        granted.check("grants", 1).await;
        granted.sql(&format!("GRANT {privilege} TO rampkeeper_warehouse")).await;
    }
}

/// What `check` says of a grant that is missing is the grant: carried out, it gives back exactly what there was.
#[tokio::test]
async fn the_statements_that_mend_give_back_what_was_taken() {
    let granted = Granted::new("mended", &["-v", "local_registry=1"]).await;
    let before = [granted.held("control").await, granted.held("warehouse").await];
    let sound = granted.check("grants", 0).await;
    assert_eq!(sound.states("grants"), ["ok", "ok"], "{:#?}", sound.0);
    granted
        .sql(
            "REVOKE ALL ON ALL TABLES IN SCHEMA exp, rampkeeper FROM rampkeeper_control, rampkeeper_warehouse;
             REVOKE ALL ON SCHEMA rampkeeper FROM rampkeeper_control;
             REVOKE ALL ON SCHEMA exp FROM rampkeeper_warehouse;",
        )
        .await;
    let answers = granted.check("grants", 1).await;
    answers
        .say("grants", "control", "fail", "rampkeeper_control may not look into the schema rampkeeper")
        .say("grants", "control", "fail", "GRANT SELECT, INSERT ON rampkeeper.decisions TO rampkeeper_control;")
        .say("grants", "warehouse", "fail", "GRANT USAGE ON SCHEMA exp TO rampkeeper_warehouse;");
    let mends: Vec<&str> = answers.0.iter().filter_map(|line| line["mend"].as_str()).collect();
    granted.sql(&mends.join("\n")).await;
    assert_eq!([granted.held("control").await, granted.held("warehouse").await], before);
    assert_eq!(granted.check("grants", 0).await.states("grants"), ["ok", "ok"]);
}

#[tokio::test]
async fn more_than_is_needed_is_a_warning() {
    let granted = Granted::new("more", &["-v", "local_registry=1"]).await;
    granted
        .sql(
            "GRANT DELETE, TRUNCATE ON rampkeeper.decisions TO rampkeeper_control;
             GRANT UPDATE (created_at) ON exp.variants TO rampkeeper_control;
             GRANT INSERT ON exp.events TO rampkeeper_warehouse;",
        )
        .await;
    let answers = granted.check("grants", 0).await;
    answers
        .say("grants", "control", "ok", "has what it needs")
        .say("grants", "control", "warn", "REVOKE DELETE, TRUNCATE ON rampkeeper.decisions FROM rampkeeper_control;")
        .say("grants", "control", "warn", "rampkeeper_control may UPDATE (created_at) on exp.variants, and need not")
        .say("grants", "warehouse", "warn", "REVOKE INSERT ON exp.events FROM rampkeeper_warehouse;");
    // The file takes it away again.
    granted.postgres.file(&granted.url, GRANTS, &["-v", "local_registry=1"]).await;
    assert_eq!(granted.check("grants", 0).await.states("grants"), ["ok", "ok"]);

    let owner = Answers::of(granted.command(&["check", "--only", "grants"], "migrate"), 1).await;
    owner.say("grants", "control", "warn", "rampkeeper_migrate owns rampkeeper.actions");
    let superuser = Answers::of(granted.command(&["check", "--only", "grants"], "postgres"), 0).await;
    superuser.say("grants", "control", "warn", "postgres is a superuser");
}

/// Without an address of its own the warehouse is read by the control store's user, who must then be allowed to.
#[tokio::test]
async fn one_user_for_both_needs_what_both_need() {
    let mut granted = Granted::new("both", &["-v", "local_registry=1"]).await;
    granted.world.settings["warehouse"] = json!({ "postgres": {} });
    granted.world.configure();
    let answers = granted.check("grants,metrics", 1).await;
    let mend = "GRANT SELECT (event_type, unit_type, unit_id, timestamp, metrics) ON exp.events TO rampkeeper_control;";
    answers.say("grants", "control", "fail", mend).say("metrics", "events", "fail", "refuses");
    let mends: Vec<&str> =
        answers.0.iter().filter(|line| line["area"] == "grants").filter_map(|line| line["mend"].as_str()).collect();
    granted.sql(&mends.join("\n")).await;
    assert_eq!(granted.check("grants,metrics", 0).await.states("grants"), ["ok"]);
}
