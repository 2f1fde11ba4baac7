//! `ramp: { existing_units: move }` where no new units come: everybody was assigned on the first day, and each step of the
//! ramp draws control's units anew. On PostgreSQL, where the warehouse reads the very assignments that are redrawn.

use jiff::civil::Date;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::embedded::{World, day, of, outcome, reasons, two_in_the_night_after};
use crate::support::postgres::Postgres;

const UNITS: u32 = 20_000;

const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.10, min_days: 1, min_units: 500 }
    - { allocation: 0.25, min_days: 4, min_units: 500 }
    - { allocation: 0.50, min_days: 1, min_units: 500 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.05 }
    - { metric: cost_per_plan, margin: 0.10 }
  ramp: { existing_units: move }
";

struct Fixed {
    world: World,
    postgres: &'static Postgres,
    url: String,
}

fn ids() -> (Uuid, Uuid, Uuid) {
    (Uuid::from_u128(1), Uuid::from_u128(10), Uuid::from_u128(11))
}

impl Fixed {
    async fn new() -> Fixed {
        let postgres = Postgres::shared().await;
        let url = postgres.database("redraw").await;
        let mut world = World::bare(vec![]);
        world.settings["control"] = json!({ "url": url });
        world.settings["warehouse"] = json!({ "postgres": {} });
        world.configure();
        world.write("promotion.yml", PROMOTION);
        world.run(&["migrate"]).await.expect(0);
        let (e, c, t) = ids();
        let first = day(0);
        let fixed = Fixed { world, postgres, url };
        fixed
            .sql(&format!(
                "INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
                 VALUES ('{e}', 'fixed', 'active', 'user', '{first}');
                 INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at) VALUES
                 ('{c}', '{e}', 'control', 0.9, '{{\"feature_enabled\": false}}', '2026-01-01'),
                 ('{t}', '{e}', 'candidate', 0.1, '{{\"feature_enabled\": true}}', '2026-01-02');
                 INSERT INTO exp.assignments (experiment_id, unit_type, unit_id, variant_id, assigned_at)
                 SELECT '{e}', 'user', md5(i::text), CASE WHEN i % 10 = 0 THEN '{t}' ELSE '{c}' END::uuid,
                        timestamptz '{first} 00:00:00Z' + i * interval '1 second' FROM generate_series(1, {UNITS}) i;
                 ANALYZE exp.assignments;"
            ))
            .await;
        fixed
    }

    async fn sql(&self, sql: &str) -> String {
        self.postgres.sql(&self.url, sql).await
    }

    /// A day on which every unit plans once. `cost` is the candidate's, of control's.
    async fn live(&self, day: Date, cost: f64) {
        let t = ids().2;
        self.sql(&format!(
            "SELECT setseed(0.{});
             CREATE TEMP TABLE plans AS
             SELECT unit_id, variant_id, timestamptz '{day} 03:00:00Z' + random() * interval '20 hours' AS at,
                    0.02 * exp(0.8 * (random() + random() + random() - 1.5)) AS cost, random() < 0.6 AS accepted
             FROM (SELECT * FROM exp.assignments ORDER BY unit_id) a;
             INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, timestamp)
             SELECT 'plan_generated', 'user', unit_id, jsonb_build_object('latency_ms', 500, 'cost',
                    cost * CASE WHEN variant_id = '{t}' THEN {cost} ELSE 1 END), at FROM plans;
             INSERT INTO exp.events (event_type, unit_type, unit_id, metrics, timestamp)
             SELECT 'plan_accepted', 'user', unit_id, '{{}}', at + interval '1 minute' FROM plans WHERE accepted;
             DROP TABLE plans;",
            day.day()
        ))
        .await;
    }

    async fn night(&self, day: Date) -> Value {
        let report = self.world.night(day, 0).await;
        let before = self.assignments().await;
        let again = self.world.night(day, 0).await;
        assert_eq!(again["run"], Value::Null, "the second run must change nothing: {again:#}");
        assert_eq!(self.assignments().await, before);
        report
    }

    async fn assignments(&self) -> String {
        self.sql(
            "SELECT md5(string_agg(unit_id || variant_id || assigned_at, '' ORDER BY unit_id)) FROM exp.assignments",
        )
        .await
    }

    async fn units_on(&self, arm: Uuid) -> f64 {
        let count = self.sql(&format!("SELECT count(*) FROM exp.assignments WHERE variant_id = '{arm}'")).await;
        count.parse().unwrap()
    }

    /// Ramps to 25 % in the night after the second day.
    async fn ramp(&self) -> Value {
        for n in 0..2 {
            self.live(day(n), 1.0).await;
        }
        assert_eq!(outcome(&self.night(day(0)).await, "fixed"), "hold");
        let report = self.night(day(1)).await;
        assert_eq!(outcome(&report, "fixed"), "ramp", "{report:#}");
        report
    }

    /// The units of the pool's cohort that one guardrail saw: control's and the candidate's.
    async fn pool(&self) -> (f64, f64) {
        let (_, c, t) = ids();
        let mut found = [0.0, 0.0];
        for (place, arm) in [c, t].into_iter().enumerate() {
            let sql = format!(
                "SELECT health ->> 'units' FROM rampkeeper.cohorts WHERE epoch = 1 AND variant_id = '{arm}' LIMIT 1"
            );
            found[place] = self.sql(&sql).await.parse().unwrap();
        }
        found.into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_candidate_gets_its_share_of_a_fixed_population_and_fair_evidence() {
    let fixed = Fixed::new().await;
    let (_, c, t) = ids();
    let report = fixed.ramp().await;
    // A sixth of 18,000; one standard deviation is 50.
    let on_candidate = fixed.units_on(t).await;
    assert!((on_candidate - 5_000.0).abs() < 250.0, "{on_candidate}");
    assert_eq!(on_candidate + fixed.units_on(c).await, f64::from(UNITS));
    let steps = of(&report, "fixed")["steps"].to_string();
    assert!(steps.contains("draw the units of control anew: 16.67 % of them go to candidate"), "{steps}");
    let moved = report["moved"][0].as_str().unwrap();
    let told =
        format!("fixed: 18000 units of control were drawn anew; {} moved to candidate (", on_candidate - 2_000.0);
    assert!(moved.starts_with(&told), "{moved}");
    let told = format!("planned 16.67 %), which now has {:.2} % of all units", on_candidate / 200.0);
    assert!(moved.ends_with(&told), "{moved}");
    let mail = fixed.world.mails().into_iter().find(|mail| mail.contains("Units moved for a ramp"));
    assert!(mail.is_some(), "the readers are told");

    let epochs =
        "SELECT string_agg(number || ' ' || moved_units || ' ' || (redrawn_at IS NOT NULL), ', ' ORDER BY number)
                  FROM rampkeeper.allocation_epochs";
    assert_eq!(fixed.sql(epochs).await, "0 0 false, 1 1 true, 2 0 false");
    for n in 2..6 {
        fixed.live(day(n), 1.0).await;
        let report = fixed.night(day(n)).await;
        let told = reasons(&report, "fixed");
        assert!(!told.iter().any(|r| r.contains("mismatch") || r.contains("vanished")), "{told:?}");
        assert_ne!(outcome(&report, "fixed"), "rollback", "{report:#}");
    }
    let (control, candidate) = fixed.pool().await;
    assert_eq!((control, candidate), (18_000.0 - (on_candidate - 2_000.0), on_candidate - 2_000.0));
    fixed.world.run(&["verify"]).await.expect(0);

    // The next step follows when its days are over, and draws from control once more.
    let ramped = "SELECT count(*) FROM rampkeeper.decisions WHERE outcome = 'ramp'";
    assert_eq!(fixed.sql(ramped).await, "2");
    let half = fixed.units_on(t).await;
    assert!((half - 10_000.0).abs() < 350.0, "{half}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmful_candidate_is_found_in_the_pool_and_everybody_comes_back() {
    let fixed = Fixed::new().await;
    fixed.ramp().await;
    let t = ids().2;
    assert!(fixed.units_on(t).await > 4_500.0);
    let mut told = Vec::new();
    for n in 2..5 {
        fixed.live(day(n), 1.4).await;
        told.push(outcome(&fixed.night(day(n)).await, "fixed").to_owned());
        if told.last().is_some_and(|outcome| outcome == "rollback") {
            break;
        }
    }
    assert_eq!(told, ["hold", "rollback"]);
    assert_eq!(fixed.units_on(t).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redraw_is_taken_back_by_hand() {
    let fixed = Fixed::new().await;
    for n in 0..2 {
        fixed.live(day(n), 1.0).await;
    }
    let before =
        fixed.sql("SELECT md5(string_agg(unit_id || variant_id, '' ORDER BY unit_id)) FROM exp.assignments").await;
    fixed.night(day(0)).await;
    let report = fixed.night(day(1)).await;
    let decision = of(&report, "fixed")["candidates"][0]["decision_id"].as_str().unwrap().to_owned();
    let moved = fixed.units_on(ids().2).await - 2_000.0;
    let now = two_in_the_night_after(day(1)).replace("02:00:00", "09:00:00");
    let undone = fixed.world.run(&["undo-moves", &decision, "--now", &now, "--output", "json"]).await.expect(0).json();
    assert_eq!((undone["moved_back"].as_f64(), undone["stuck"].as_u64()), (Some(moved), Some(0)), "{undone:#}");
    let after = "SELECT md5(string_agg(unit_id || variant_id, '' ORDER BY unit_id)) FROM exp.assignments";
    assert_eq!(fixed.sql(after).await, before);
    // Who went back bears the time of his former assignment again.
    let first_day = format!("SELECT count(*) FROM exp.assignments WHERE assigned_at < '{}'", day(1));
    assert_eq!(fixed.sql(&first_day).await, (moved + 2_000.0).to_string());
    let again = fixed.world.run(&["undo-moves", &decision, "--now", &now, "--output", "json"]).await.expect(0).json();
    assert_eq!((again["moved_back"].as_u64(), again["undone_before"].as_f64()), (Some(0), Some(moved)));
}
