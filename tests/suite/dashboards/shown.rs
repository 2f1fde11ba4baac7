//! Every view and every card on real PostgreSQL after a few nights, read by the user that the grants file makes for that.

use std::collections::{BTreeMap, BTreeSet};

use rampkeeper::metabase::{Card, Content};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, Row, SqlSafeStr};
use tokio::process::Command;

use crate::embedded::{World, better, day, harmful, key, told, two_in_the_night_after};
use crate::support::postgres::Postgres;
use crate::support::users::{self, GRANTS, as_user};

const NIGHTS: i64 = 3;

/// A store on PostgreSQL whose experiment tables belong to another, after a few nights.
struct Shown {
    url: String,
    world: World,
}

impl Shown {
    async fn new() -> Shown {
        let postgres = Postgres::shared().await;
        let url = postgres.database("dashboards").await;
        let scenarios = vec![better("shown_better"), harmful("shown_harmful")];
        let mut world = World::new(scenarios.clone()).await;
        world.settings["control"] = json!({ "url_from": { "env": "RAMPKEEPER_TEST_CONTROL" } });
        world.settings["registry"] = json!({ "local": {} });
        postgres.file(&url, "queries/migrations/postgres/0001_experiment_tables.sql", &[]).await;
        users::make(postgres).await;
        let options = ["-v", "local_registry=1", "-v", "dashboards=1"];
        postgres.file(&url, GRANTS, &options).await;
        world.configure();
        let shown = Shown { url, world };
        told(shown.command(&["migrate"], "migrate")).await.expect(0);
        postgres.file(&shown.url, GRANTS, &options).await;
        let Shown { url, mut world } = shown;

        for scenario in &scenarios {
            postgres.sql(&url, &rows(scenario.experiment)).await;
        }
        for n in 0..NIGHTS {
            // The traffic follows the shares of the embedded store, which nobody changes.
            world.live(day(n)).await;
            let (as_of, now) = (day(n).to_string(), two_in_the_night_after(day(n)));
            let mut run = world.command(&["run", "--as-of", &as_of, "--now", &now]);
            run.env("RAMPKEEPER_TEST_CONTROL", as_user(&url, "control"));
            let said = told(run).await;
            assert!([Some(0), Some(3)].contains(&said.code), "{said:?}");
        }
        Shown { url, world }
    }

    fn command(&self, arguments: &[&str], user: &str) -> Command {
        let mut command = self.world.command(arguments);
        command.env("RAMPKEEPER_TEST_CONTROL", as_user(&self.url, user));
        command
    }

    /// A connection that may do what a dashboard may.
    async fn dashboard(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        connection.execute("SET ROLE rampkeeper_dashboards").await.unwrap();
        connection
    }
}

/// An experiment on PostgreSQL with the keys that the world's traffic has, and an offline result of its candidate.
fn rows(name: &str) -> String {
    let (experiment, policy) = (key(name), key(&format!("{name} policy")));
    let mut sql = format!(
        "INSERT INTO exp.policies (id, name) VALUES ('{policy}', '{name} policy');
         INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
         VALUES ('{experiment}', '{name}', 'active', 'user', '{}');",
        day(0)
    );
    for (number, (arm, share)) in (1..).zip([("control", "0.9"), ("candidate", "0.1")]) {
        let (variant, version) = (key(&format!("{name} {arm}")), key(&format!("{name} version {number}")));
        // One of each form.
        let config = match number {
            1 => json!({ "policy_version_id": version, "params": {} }),
            _ => json!({ "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": version } }),
        };
        sql.push_str(&format!(
            "INSERT INTO exp.policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
             VALUES ('{version}', '{policy}', {number}, '{name}_model', '{number}');
             INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at)
             VALUES ('{variant}', '{experiment}', '{arm}', {share}, '{config}', '2026-01-01 00:00:0{number}');
             INSERT INTO rampkeeper.registry_tags (model, version, key, value)
             VALUES ('{name}_model', '{number}', 'stage', 'candidate');
             INSERT INTO exp.offline_replay_results (policy_version_id, dataset_version, plan_alignment_score,
                 constraint_respect_score, edit_distance_score, diversity_score, leftovers_score,
                 is_better_than_baseline, status)
             VALUES ('{version}', 'v1', 0.8{number}, 1, 0.7, 0.6, 0.5, true, 'completed'),
                    ('{version}', 'v2', NULL, NULL, NULL, NULL, NULL, NULL, 'failed');"
        ));
    }
    sql
}

/// A card's query without any choice, and with these.
fn rendered(card: &Card, choices: &BTreeMap<&str, &str>) -> String {
    let mut told = String::new();
    let mut rest = card.sql();
    while let Some((before, optional)) = rest.split_once("[[") {
        told.push_str(before);
        let (inside, after) = optional.split_once("]]").expect("what is opened is closed");
        if choices.keys().any(|name| inside.contains(&format!("{{{{{name}}}}}"))) {
            told.push_str(inside);
        }
        rest = after;
    }
    told.push_str(rest);
    choices.iter().fold(told, |sql, (name, value)| sql.replace(&format!("{{{{{name}}}}}"), &format!("'{value}'")))
}

/// The columns that a card's drawing names.
fn columns_named(card: &Card) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let settings = card.settings.as_object().unwrap();
    for key in ["graph.dimensions", "graph.metrics"] {
        let names = settings.get(key).and_then(Value::as_array).into_iter().flatten();
        named.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    }
    named.extend(settings.get("scalar.field").map(|field| field.as_str().unwrap().to_owned()));
    named.extend(
        settings.get("series_settings").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k.clone()),
    );
    for (column, _) in settings.get("column_settings").and_then(Value::as_object).into_iter().flatten() {
        let (kind, name): (String, String) = serde_json::from_str(column).expect("a key is a pair in JSON");
        assert_eq!(kind, "name");
        named.insert(name);
    }
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn every_card_answers_a_user_who_may_read_the_views_alone() {
    let shown = Shown::new().await;
    let mut dashboard = shown.dashboard().await;
    let content = Content::embedded().unwrap();
    let experiment = BTreeMap::from([("experiment", "shown_better")]);
    let both = BTreeMap::from([("experiment", "shown_harmful"), ("metric", "cost_per_plan")]);
    // What has nothing to say after these nights.
    let may_be_empty = ["Not as decided", "What candidates wait for"];
    for card in &content.cards {
        for choices in [&BTreeMap::new(), &experiment, &both] {
            let sql = rendered(card, choices);
            assert!(!sql.contains("{{") && !sql.contains("[["), "{}: {sql}", card.name);
            let described = dashboard.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
            let described = described.unwrap_or_else(|error| panic!("{}: {error} in {sql}", card.name));
            let columns: BTreeSet<String> =
                sqlx::Statement::columns(&described).iter().map(|c| c.name().to_owned()).collect();
            for named in columns_named(card) {
                assert!(columns.contains(&named), "{} draws {named}, and has {columns:?}", card.name);
            }
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut dashboard).await;
            let rows = rows.unwrap_or_else(|error| panic!("{}: {error}", card.name));
            assert!(
                !rows.is_empty() || may_be_empty.contains(&card.name.as_str()),
                "{} is empty: {choices:?}",
                card.name
            );
        }
    }
    for forbidden in ["exp.variants", "exp.events", "exp.assignments", "rampkeeper.decisions", "rampkeeper.acts"] {
        let denied = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {forbidden}"))).fetch_all(&mut dashboard).await;
        let denied = denied.expect_err(forbidden);
        assert_eq!(denied.as_database_error().and_then(|e| e.code()).as_deref(), Some("42501"), "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_say_what_the_nights_said() {
    let shown = Shown::new().await;
    let mut dashboard = shown.dashboard().await;
    let mut texts = async |sql: &str| -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut dashboard).await;
        rows.unwrap_or_else(|error| panic!("{error} in {sql}")).iter().map(|row| row.get::<String, _>(0)).collect()
    };
    let outcomes =
        texts("SELECT outcome FROM rampkeeper.v_decisions WHERE experiment = 'shown_harmful' ORDER BY as_of").await;
    assert!(outcomes.contains(&"rollback".to_owned()), "{outcomes:?}");
    // The night that rolled back: shown worse than the margin, by an interval that lies beyond it, and the share went.
    let night = texts(
        "SELECT concat_ws(' ', k.verdict, k.bound, k.limit_at, k.effect_low > k.limit_at, k.e_value > 20,
                          k.effect BETWEEN k.effect_low AND k.effect_high, d.share_after, d.reason)
         FROM rampkeeper.v_looks k JOIN rampkeeper.v_decisions d USING (decision_id)
         WHERE k.experiment = 'shown_harmful' AND k.metric = 'cost_per_plan' AND k.outcome = 'rollback'",
    )
    .await;
    assert_eq!(night, ["breach margin 0.1 t t t 0 harm_shown"]);
    let acceptance = "SELECT DISTINCT concat_ws(' ', role, bound, limit_at, scale) FROM rampkeeper.v_looks WHERE metric = 'acceptance_rate'";
    assert_eq!(texts(acceptance).await, ["guardrail margin -0.05 lift"]);
    let stands = "SELECT concat_ws(' ', status, share, last_outcome IS NOT NULL) FROM rampkeeper.v_candidates WHERE experiment = 'shown_harmful'";
    assert_eq!(texts(stands).await, ["rolled_back 0 t"]);
    let sums = "SELECT DISTINCT sum(share)::text FROM rampkeeper.v_ramp_timeline GROUP BY experiment_id, epoch";
    assert_eq!(texts(sums).await, ["1"]);
    let lasting = "SELECT string_agg(variant || ' ' || share, ', ' ORDER BY variant) FROM rampkeeper.v_ramp_timeline
                   WHERE experiment = 'shown_harmful' AND ended_at IS NULL";
    assert_eq!(texts(lasting).await, ["candidate 0, control 1"]);
    let offline =
        "SELECT DISTINCT concat_ws(' ', policy, policy_version, model_version, dataset_version, plan_alignment_score)
                   FROM rampkeeper.v_offline_against_online WHERE experiment = 'shown_better'";
    assert_eq!(texts(offline).await, ["shown_better policy 2 2 v1 0.82"]);
    let nights = "SELECT count(*)::text FROM rampkeeper.v_nights WHERE finished_at IS NOT NULL AND decided = ramped + held + promoted + rolled_back";
    assert_eq!(texts(nights).await, [NIGHTS.to_string()]);
    let active = "SELECT concat_ws(' ', variant_count, total_allocation) FROM exp.v_active_experiments WHERE name = 'shown_better'";
    assert_eq!(texts(active).await, ["2 1.0000"]);
    // A night that was decided again shows once.
    let doubled = "SELECT count(*)::text FROM (SELECT 1 FROM rampkeeper.v_decisions WHERE is_latest
                   GROUP BY experiment_id, candidate_id, as_of HAVING count(*) > 1) x";
    assert_eq!(texts(doubled).await, ["0"]);
}

/// The embedded store has the same views under its own names, as far as they make sense there.
#[tokio::test]
async fn the_embedded_store_shows_the_same() {
    let mut world = World::new(vec![harmful("shown_embedded")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    for (view, told, expected) in [
        ("decisions", "outcome || ' ' || share_after || ' ' || reason", "rollback 0 harm_shown"),
        ("candidates", "status || ' ' || last_outcome || ' ' || experiment", "rolled_back rollback shown_embedded"),
    ] {
        let sql = format!("SELECT {told} FROM rampkeeper_v_{view} ORDER BY 1 DESC LIMIT 1");
        assert_eq!(world.text(&sql).await, expected, "{view}");
    }
    let look = "SELECT metric || ' ' || verdict || ' ' || bound || ' ' || limit_at || ' ' || (effect_low > limit_at)
                FROM rampkeeper_v_looks WHERE outcome = 'rollback' AND verdict = 'breach'";
    assert_eq!(world.text(look).await, "cost_per_plan breach margin 0.1 1");
    let lasting = "SELECT group_concat(variant || ' ' || share, ', ') FROM
                   (SELECT * FROM rampkeeper_v_ramp_timeline WHERE ended_at IS NULL ORDER BY variant)";
    let shares = world.text(lasting).await;
    assert!(shares.starts_with("candidate 0") && shares.contains("control 1"), "{shares}");
    assert_eq!(world.count("SELECT count(*) FROM rampkeeper_v_incidents").await, 0);
}

/// The columns are a contract: whoever built on them must not lose one.
#[tokio::test]
async fn the_views_columns_are_those_of_the_document() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("views").await;
    for file in
        std::fs::read_dir("queries/migrations/postgres").unwrap().flatten().map(|f| f.path()).collect::<BTreeSet<_>>()
    {
        postgres.file(&url, file.to_str().unwrap(), &[]).await;
    }
    let document = include_str!("../../../docs/dashboards.md");
    let told = postgres
        .sql(
            &url,
            "SELECT 'rampkeeper.' || table_name, string_agg(column_name, ', ' ORDER BY ordinal_position)
             FROM information_schema.columns
             WHERE table_schema = 'rampkeeper' AND table_name LIKE 'v\\_%' GROUP BY 1 ORDER BY 1",
        )
        .await;
    assert_eq!(told.lines().count(), 8);
    for line in told.lines() {
        let (view, columns) = line.split_once('|').unwrap();
        let row = document.lines().find(|row| row.starts_with(&format!("| `{view}` |")));
        let row = row.unwrap_or_else(|| panic!("{view} is not in docs/dashboards.md"));
        assert!(row.ends_with(&format!("| {columns} |")), "{view} has {columns}");
    }
}

/// A schema of somebody else's in which nothing may be made: no view of ours, and the night's tables all the same.
#[tokio::test]
async fn a_schema_that_lets_us_make_no_view_keeps_no_tables_from_being_made() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("no_views").await;
    postgres.file(&url, "queries/migrations/postgres/0001_experiment_tables.sql", &[]).await;
    users::make(postgres).await;
    postgres.file(&url, GRANTS, &[]).await;
    postgres
        .sql(
            &url,
            "DROP VIEW exp.v_prompt_versions; ALTER TABLE exp.offline_replay_results DROP COLUMN leftovers_score;",
        )
        .await;
    let mut world = World::bare(vec![]);
    world.settings["control"] = json!({ "url_from": { "env": "RAMPKEEPER_TEST_CONTROL" } });
    world.configure();
    let mut migrate = world.command(&["migrate"]);
    migrate.env("RAMPKEEPER_TEST_CONTROL", as_user(&url, "migrate"));
    let said = told(migrate).await.expect(0);
    said.complains("the view exp.v_prompt_versions is not made: permission denied");
    said.complains("the view rampkeeper.v_offline_against_online is not made: column o.leftovers_score does not exist");
    let made = "SELECT count(*) FROM information_schema.views WHERE table_schema = 'rampkeeper'";
    assert_eq!(postgres.sql(&url, made).await, "7");
    // The grants for dashboards leave out what is not there.
    postgres.file(&url, GRANTS, &["-v", "dashboards=1"]).await;
}
