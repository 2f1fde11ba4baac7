//! Promotion and rollback on real PostgreSQL and MLflow, for each form of a variant's config: what stands behind the form is
//! changed everywhere, and nothing else is.

use std::collections::BTreeMap;

use rampkeeper::demo::Scenario;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::embedded::{World, better, day, harmful, key, told, two_in_the_night_after};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;

/// One stage at one half: whoever is shown safe there is promoted.
const PROMOTION: &str = "\
defaults:
  stages:
    - { allocation: 0.50, min_days: 1, min_units: 80 }
  guardrails:
    - { metric: acceptance_rate, margin: 0.05 }
    - { metric: cost_per_plan, margin: 0.10 }
";

/// The most nights that any of them may take.
const NIGHTS: i64 = 8;

/// A form of config, with what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Model,
    Legacy,
    Prompt,
    Hybrid,
    Flag,
}

const FORMS: [(Form, &str, &str); 5] = [
    (Form::Model, "forms_model_up", "forms_model_down"),
    (Form::Legacy, "forms_legacy_up", "forms_legacy_down"),
    (Form::Prompt, "forms_prompt_up", "forms_prompt_down"),
    (Form::Hybrid, "forms_hybrid_up", "forms_hybrid_down"),
    (Form::Flag, "forms_flag_up", "forms_flag_down"),
];

impl Form {
    fn has_model(self) -> bool {
        matches!(self, Form::Model | Form::Legacy | Form::Hybrid)
    }

    fn has_prompt(self) -> bool {
        matches!(self, Form::Prompt | Form::Hybrid)
    }

    fn config(self, policy: Uuid, prompt: Uuid, number: usize) -> Value {
        let (model, prompt) = (json!({ "policy_version_id": policy }), json!({ "prompt_version_id": prompt }));
        match self {
            Form::Model => json!({ "execution_strategy": "mlflow_model", "mlflow_model": model }),
            Form::Legacy => json!({ "policy_version_id": policy, "params": { "exploration_rate": 0.1 } }),
            Form::Prompt => json!({ "execution_strategy": "prompt_template", "prompt_config": prompt }),
            Form::Hybrid => {
                json!({ "execution_strategy": "hybrid", "mlflow_model": model, "prompt_config": prompt })
            }
            Form::Flag => json!({ "feature_enabled": number == 2 }),
        }
    }

    /// The events that it leaves, by name.
    fn events(self, what: &str) -> String {
        let mut events = Vec::new();
        if self == Form::Flag {
            events.push(format!("custom.flag_{what}"));
        }
        if self.has_model() {
            events.push(format!("model_{what}"));
        }
        if self.has_prompt() {
            events.push(format!("prompt_{what}"));
        }
        events.join(",")
    }
}

struct Site {
    postgres: &'static Postgres,
    mlflow: &'static Mlflow,
    url: String,
    world: World,
}

impl Site {
    async fn new() -> Site {
        let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
        let url = postgres.database("forms").await;
        let scenarios: Vec<Scenario> =
            FORMS.into_iter().flat_map(|(_, up, down)| [better(up), harmful(down)]).collect();
        let mut world = World::new(scenarios).await;
        world.sql("UPDATE exp_variants SET allocation = '0.5000'").await;
        world.write("promotion.yml", PROMOTION);
        world.settings["control"] = json!({ "url": url });
        world.settings["registry"] = json!({ "mlflow": { "url": mlflow.url() } });
        world.configure();
        world.run(&["migrate"]).await.expect(0);
        let site = Site { postgres, mlflow, url, world };
        for (form, up, down) in FORMS {
            site.create(form, up).await;
            site.create(form, down).await;
        }
        site
    }

    /// An experiment whose arms serve versions 1 and 2, with the keys of the world's traffic.
    async fn create(&self, form: Form, name: &str) {
        let (experiment, policy, prompt) = (key(name), key(&format!("{name} policy")), key(&format!("{name} prompt")));
        let mut sql = format!(
            "INSERT INTO exp.policies (id, name) VALUES ('{policy}', '{name} policy');
             INSERT INTO exp.prompts (id, name) VALUES ('{prompt}', '{name} prompt');
             INSERT INTO exp.experiments (id, name, status, unit_type, start_at)
             VALUES ('{experiment}', '{name}', 'active', 'user', '{}');",
            day(0)
        );
        if form.has_model() {
            self.mlflow.create_model(name).await;
        }
        for (number, arm, stage, alias) in
            [(1, "control", "production", "champion"), (2, "candidate", "candidate", "challenger")]
        {
            let variant = key(&format!("{name} {arm}"));
            let (model, template) = (key(&format!("{name} model {number}")), key(&format!("{name} template {number}")));
            if form.has_model() {
                let version = self.mlflow.create_version(name).await;
                assert_eq!(version, number.to_string());
                self.mlflow.set_version_tag(name, &version, "stage", stage).await;
                self.mlflow.set_alias(name, alias, &version).await;
            }
            let config = form.config(model, template, number);
            sql.push_str(&format!(
                "INSERT INTO exp.policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
                 VALUES ('{model}', '{policy}', {number}, '{name}', '{number}');
                 INSERT INTO exp.prompt_versions (id, prompt_id, version, file_path)
                 VALUES ('{template}', '{prompt}', {number}, 'prompts/{number}.md');
                 INSERT INTO exp.variants (id, experiment_id, name, allocation, config, created_at)
                 VALUES ('{variant}', '{experiment}', '{arm}', 0.5, '{config}', '2026-01-01 00:00:0{number}');"
            ));
        }
        self.sql(&sql).await;
    }

    async fn sql(&self, statements: &str) -> String {
        self.postgres.sql(&self.url, statements).await
    }

    /// Nights until every candidate is promoted or rolled back.
    async fn live(&mut self) {
        for n in 0..NIGHTS {
            self.world.live(day(n)).await;
            let (as_of, now) = (day(n).to_string(), two_in_the_night_after(day(n)));
            for _ in 0..2 {
                let run = self.world.command(&["run", "--as-of", &as_of, "--now", &now]);
                told(run).await.expect(0);
            }
            let over = self.sql("SELECT count(*) FROM rampkeeper.rollouts WHERE status <> 'ramping'").await;
            if over == (2 * FORMS.len()).to_string() {
                return;
            }
        }
        let open = "SELECT string_agg(e.name, ', ') FROM rampkeeper.rollouts r JOIN exp.experiments e ON e.id = r.experiment_id
                    WHERE r.status = 'ramping'";
        panic!("not decided after {NIGHTS} nights: {}", self.sql(open).await);
    }

    /// Shares by name, the experiment's status, and what our events are called.
    async fn check(&self, name: &str, shares: &str, status: &str, events: &str) {
        let experiment = key(name);
        let told = self
            .sql(&format!(
                "SELECT string_agg(regexp_replace(name, '_20.*', '') || ' ' || allocation, ', ' ORDER BY created_at)
                 FROM exp.variants WHERE experiment_id = '{experiment}'"
            ))
            .await;
        assert_eq!(told, shares, "{name}");
        let told = self.sql(&format!("SELECT status FROM exp.experiments WHERE id = '{experiment}'")).await;
        assert_eq!(told, status, "{name}");
        let of = format!("experiments @> '[{{\"experiment_id\": \"{experiment}\"}}]'");
        let told = self
            .sql(&format!("SELECT string_agg(event_type, ',' ORDER BY event_type) FROM exp.events WHERE {of}"))
            .await;
        assert_eq!(told, events, "{name}");
    }

    /// The statuses of versions 1 and 2 of the policy and of the prompt; those that nobody serves stay `active`.
    async fn statuses(&self, name: &str) -> [String; 2] {
        let of = async |what: &str| {
            let parent = key(&format!("{name} {what}"));
            let (table, column) = (format!("exp.{what}_versions"), format!("{what}_id"));
            self.sql(&format!(
                "SELECT string_agg(status, ',' ORDER BY version) FROM {table} WHERE {column} = '{parent}'"
            ))
            .await
        };
        [of("policy").await, of("prompt").await]
    }

    async fn check_registry(&self, name: &str, stages: [&str; 2], champion: &str) {
        for (version, stage) in ["1", "2"].into_iter().zip(stages) {
            assert_eq!(self.mlflow.version_tags(name, version).await["stage"], stage, "{name} {version}");
        }
        let aliases = BTreeMap::from([("champion".to_owned(), champion.to_owned())]);
        assert_eq!(self.mlflow.aliases(name).await, aliases, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_is_promoted_and_rolled_back_wholly() {
    let mut site = Site::new().await;
    site.live().await;
    for (form, up, down) in FORMS {
        site.check(up, "control_retired 0.0000, candidate 1.0000", "completed", &form.events("promoted")).await;
        site.check(down, "control 1.0000, candidate 0.0000", "active", &form.events("rollback")).await;
        let of = |has: bool, changed: &str| if has { changed } else { "active,active" }.to_owned();
        let changed = |to: &str| [of(form.has_model(), to), of(form.has_prompt(), to)];
        assert_eq!(site.statuses(up).await, changed("deprecated,active"), "{up}");
        assert_eq!(site.statuses(down).await, changed("active,archived"), "{down}");
        if form.has_model() {
            site.check_registry(up, ["archived", "production"], "2").await;
            site.check_registry(down, ["production", "archived"], "1").await;
        }
        for (name, expected) in [(up, "candidate"), (down, "control")] {
            let elsewhere = site
                .sql(&format!(
                    "SELECT count(*) FROM rampkeeper.assignment_moves WHERE experiment_id = '{}' AND to_variant <> '{}'",
                    key(name),
                    key(&format!("{name} {expected}"))
                ))
                .await;
            assert_eq!(elsewhere, "0", "{name}");
        }
    }
    // The payloads, as the services around read them.
    let model = "SELECT payload ->> 'policy_version_id' = '{V}' AND payload ->> 'mlflow_model_version' = '2'
                 FROM exp.events WHERE event_type = 'model_promoted' AND payload ->> 'policy_version_id' = '{V}'";
    for name in ["forms_model_up", "forms_legacy_up", "forms_hybrid_up"] {
        let version = key(&format!("{name} model 2")).to_string();
        assert_eq!(site.sql(&model.replace("{V}", &version)).await, "t", "{name}");
    }
    let failed = "SELECT string_agg(DISTINCT left(payload ->> 'reason', 10), ','), count(*),
                         bool_and(payload ->> 'failed_variant_id' IN (SELECT id::text FROM exp.variants))
                  FROM exp.events WHERE event_type LIKE '%rollback'";
    assert_eq!(site.sql(failed).await, "harm shown|6|t");
    let left = "SELECT count(*) FROM rampkeeper.actions WHERE status <> 'done' AND not_before IS NULL";
    assert_eq!(site.sql(left).await, "0");
    assert_eq!(site.sql("SELECT count(*) FROM rampkeeper.incidents").await, "0");
}
