//! Nights on a PostgreSQL in which aggregates over events are all that the warehouse's user may read: harm is rolled back,
//! nothing rises unless it is allowed, and every report says on what ground it stands.

use jiff::civil::Date;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::embedded::{World, day, key, of, outcome, reasons, told, two_in_the_night_after};
use crate::support::postgres::Postgres;
use crate::support::users::{self, GRANTS, as_user};

const METRICS: &str = "\
metrics:
  acceptance_rate:
    direction: increase
    aggregate: { rate: plan_accepted, of: plan_generated, design_effect: 2 }
  cost_per_plan:
    direction: decrease
    aggregate: { mean: cost, design_effect: 3 }
";

const CAUTION: &str = "CAUTION, judged from aggregates: events are taken as independent";

struct Aggregates {
    postgres: &'static Postgres,
    url: String,
    world: World,
}

impl Aggregates {
    async fn new() -> Aggregates {
        let postgres = Postgres::shared().await;
        let url = postgres.database("aggregates").await;
        let mut world = World::bare(vec![]);
        world.settings["control"] = json!({ "url_from": { "env": "RAMPKEEPER_TEST_CONTROL" } });
        world.settings["warehouse"] =
            json!({ "postgres": { "url_from": { "env": "RAMPKEEPER_TEST_WAREHOUSE" } }, "aggregates": {} });
        world.configure();
        world.write("metrics.yml", METRICS);
        let all = Aggregates { postgres, url, world };
        let options = ["-v", "local_registry=1", "-v", "aggregates=1"];
        postgres.file(&all.url, "queries/migrations/postgres/0001_experiment_tables.sql", &[]).await;
        users::make(postgres).await;
        postgres.file(&all.url, GRANTS, &options).await;
        all.run(&["migrate"], "migrate", 0).await;
        postgres.file(&all.url, GRANTS, &options).await;
        all.sql("REVOKE ALL ON exp.events, exp.assignments FROM rampkeeper_warehouse").await;
        for experiment in ["calm", "costly"] {
            all.create(experiment).await;
        }
        all
    }

    fn command(&self, arguments: &[&str], user: &str) -> Command {
        let mut command = self.world.command(arguments);
        command.env("RAMPKEEPER_TEST_CONTROL", as_user(&self.url, user));
        command.env("RAMPKEEPER_TEST_WAREHOUSE", as_user(&self.url, "warehouse"));
        command
    }

    /// Runs a command to its end and gives what it printed.
    async fn run(&self, arguments: &[&str], user: &str, code: i32) -> String {
        told(self.command(arguments, user)).await.expect(code).out
    }

    async fn night(&self, day: Date) -> Value {
        let now = two_in_the_night_after(day);
        let arguments = ["run", "--as-of", &day.to_string(), "--now", &now, "--output", "json"];
        told(self.command(&arguments, "control")).await.expect(0).json()
    }

    async fn sql(&self, statements: &str) -> String {
        self.postgres.sql(&self.url, statements).await
    }

    async fn create(&self, experiment: &str) {
        let first = day(0);
        let (id, flag) = (key(experiment), json!({ "feature_enabled": true }));
        self.sql(&format!(
            "INSERT INTO exp.experiments (id, name, status, unit_type, start_at, created_at)
             VALUES ('{id}', '{experiment}', 'active', 'user', '{first}T00:00:00Z', '{first}T00:00:00Z');
             INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at) VALUES
             ('{}', '{id}', 'control', 0.9, '{flag}', '{first}T00:00:01Z'),
             ('{}', '{id}', 'candidate', 0.1, '{flag}', '{first}T00:00:02Z');",
            arm(experiment, "control"),
            arm(experiment, "candidate")
        ))
        .await;
    }

    /// A day's aggregates, hour by hour, as the pipeline writes them.
    async fn live(&self, day: Date) {
        for (experiment, cost) in [("calm", 0.020), ("costly", 0.030)] {
            for (variant, plans, cost) in [("control", 900, 0.020), ("candidate", 100, cost)] {
                self.sql(&format!(
                    "INSERT INTO exp.metric_aggregates
                         (experiment_id, variant_id, metric_name, bucket_type, bucket_start, count, sum, mean, stddev)
                     SELECT '{}', '{}', m.name, 'hourly', h, m.count + extract(hour FROM h)::int,
                            (m.count + extract(hour FROM h)::int) * m.mean, m.mean, m.stddev
                     FROM generate_series('{day}T00:00:00Z'::timestamptz, '{day}T23:00:00Z', interval '1 hour') h,
                          (VALUES ('plan_generated', {plans}, 1, 0), ('plan_accepted', {plans} * 6 / 10, 1, 0),
                                  ('cost', {plans}, {cost}, 0.012)) AS m (name, count, mean, stddev)",
                    key(experiment),
                    arm(experiment, variant)
                ))
                .await;
            }
        }
    }

    fn promotion(&self, more: &str) {
        self.world.write("promotion.yml", &format!("{}{more}", crate::embedded::PROMOTION));
    }

    /// The text parts of the digests of a night, as they were written.
    fn mails(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.world.path("mails")).unwrap();
        folder.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

fn arm(experiment: &str, variant: &str) -> Uuid {
    key(&format!("{experiment} {variant}"))
}

#[tokio::test]
async fn aggregates_alone_lower_and_raise_nobody_unless_they_may() {
    let all = Aggregates::new().await;
    all.promotion("");
    all.live(day(0)).await;
    all.live(day(1)).await;
    let now = two_in_the_night_after(day(1));
    let checked = ["check", "--only", "warehouse,metrics,grants", "--as-of", &day(1).to_string(), "--now", &now];
    let checked = all.run(&checked, "control", 0).await;
    assert!(checked.contains("the aggregates have the columns that are read"), "{checked}");
    assert!(checked.contains("0 fail"), "{checked}");

    let night = all.night(day(1)).await;
    assert_eq!(outcome(&night, "costly"), "rollback");
    assert_eq!(outcome(&night, "calm"), "hold");
    assert_eq!(reasons(&night, "calm"), ["from_aggregates"]);
    let assessment = &of(&night, "calm")["candidates"][0]["assessment"];
    assert_eq!(assessment["split"], Value::Null);
    assert_eq!(assessment["from_events"]["metrics"][1], json!({ "metric": "cost_per_plan", "design_effect": 3.0 }));
    // 24 hours of 100 events and as many more as the hour has, at a third and at half of their worth.
    assert_eq!(assessment["candidate_units"], json!((24 * 100 + 276) / 3));

    let mails = all.mails();
    assert!(!mails.is_empty());
    for mail in &mails {
        let text = mail.split("Content-Type: text/plain").nth(1).unwrap_or_else(|| panic!("{mail}"));
        // Quoted-printable breaks lines.
        let flat = text.replace("=\r\n", "").replace("=\n", "");
        assert!(flat.contains(CAUTION), "{mail}");
    }
    let digest = mails.iter().find(|mail| mail.contains("X-Rampkeeper-Run") && !mail.contains("X-Rampkeeper-Decision"));
    let digest = digest.expect("a digest").replace("=\r\n", "").replace("=\n", "");
    let text = digest.split("Content-Type: text/plain").nth(1).unwrap();
    assert!(text.find(CAUTION).unwrap() < text.find("Evidence as of").unwrap(), "among the first lines: {text}");
    let page = std::fs::read_to_string(all.world.path(&format!("reports/nights/{}.html", day(1)))).unwrap();
    assert!(page.find(CAUTION).unwrap() < page.find("Evidence as of").unwrap(), "{page}");
    let page = std::fs::read_to_string(all.world.path("reports/experiments/calm.html")).unwrap();
    assert!(page.contains(CAUTION), "{page}");
    assert!(all.run(&["status", "--now", &now], "control", 0).await.contains("CAUTION, judged from aggregates"));

    // Allowed to ramp, and then to promote.
    all.promotion("  from_aggregates: ramp\n");
    all.live(day(2)).await;
    let night = all.night(day(2)).await;
    assert_eq!(outcome(&night, "calm"), "ramp");
    let shares = "SELECT string_agg(name || ' ' || allocation, ', ' ORDER BY created_at) FROM exp.variants
                  WHERE experiment_id = (SELECT id FROM exp.experiments WHERE name = 'calm')";
    assert_eq!(all.sql(shares).await.trim(), "control 0.7500, candidate 0.2500");
    all.run(&["verify"], "control", 0).await;
    // The hours of the change count for no split: the epoch of 10 % ends in the night, and that of 25 % begins after it.
    all.live(day(3)).await;
    all.live(day(4)).await;
    all.night(day(4)).await;
    let cohorts = "SELECT string_agg(DISTINCT cohort_date || ' ' || epoch, ', ' ORDER BY cohort_date || ' ' || epoch)
                   FROM rampkeeper.cohorts WHERE experiment_id = (SELECT id FROM exp.experiments WHERE name = 'calm')";
    let days: Vec<String> = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)].map(|(n, e)| format!("{} {e}", day(n))).into();
    assert_eq!(all.sql(cohorts).await.trim(), days.join(", "));
}
