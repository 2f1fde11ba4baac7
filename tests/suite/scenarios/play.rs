//! Plays scenarios: the world of one, its nights, and what people do between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rampkeeper::config::{self, Config};
use rampkeeper::control::{ControlStore, StoredDecision, Wanted};
use rampkeeper::decide::{Forecast, Reason};
use rampkeeper::domain::{Act, ActKind, ExperimentId, RolloutStatus, Share, VariantId};
use rampkeeper::night::{Night, recall, repeat};
use rampkeeper::registry::{LocalRegistry, TablePrefix};
use rampkeeper::report::NightReport;
use serde_json::{Map, Value, json};
use sqlx::Row;
use tempfile::TempDir;
use uuid::Uuid;

use super::coverage::{ended, shown};
use super::gates::Made;
use super::made_up::{MadeUp, Tonight};
use super::story::{Step, Story};
use super::telling::Telling;
use super::{folder, names, story};

/// The experiment's name in every scenario, and its model's.
const EXPERIMENT: &str = "ranker_exp";
const MODEL: &str = "ranker";

/// What became of one scenario.
pub struct Played {
    /// What is told of it.
    pub text: String,
    /// What it showed, in the words of [`super::coverage`].
    pub met: BTreeSet<String>,
    /// What is wrong with its decisions.
    pub faults: Vec<String>,
}

/// Plays every scenario of the folder.
pub fn all() -> Vec<(String, Result<Played, String>)> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let template = Arc::new(tempfile::tempdir().expect("a folder"));
        let path = template.path().join("control.db");
        let control = ControlStore::connect(&format!("sqlite:{}?mode=rwc", path.display()).into()).await;
        let control = control.expect("an empty control store");
        control.migrate().await.expect("the tables");
        control.pool().close().await;
        let playing: Vec<_> = names(".yml")
            .into_iter()
            .map(|name| {
                let template = Arc::clone(&template);
                let task = tokio::spawn({
                    let name = name.clone();
                    async move { play(&name, &template.path().join("control.db")).await }
                });
                (name, task)
            })
            .collect();
        let mut played = Vec::new();
        for (name, task) in playing {
            played.push((name, task.await.unwrap_or_else(|error| Err(error.to_string()))));
        }
        played
    })
}

async fn play(name: &str, template: &std::path::Path) -> Result<Played, String> {
    let path = folder().join(format!("{name}.yml"));
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let story = story::read(&text)?;
    let mut world = World::new(story, template).await?;
    for step in world.story.story.clone() {
        let dates = step.dates()?;
        if dates.is_empty() {
            world.act(&step).await?;
        }
        for as_of in dates {
            world.night(as_of, &step).await?;
        }
    }
    world.end().await
}

/// One scenario under way.
struct World {
    dir: TempDir,
    story: Story,
    promotion: Value,
    config: Config,
    control: ControlStore,
    warehouse: MadeUp,
    registry: LocalRegistry,
    /// When something happened last.
    now: Timestamp,
    telling: Telling,
    met: BTreeSet<String>,
    faults: Vec<String>,
}

/// A key that is the same in every world.
fn key(of: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, of.as_bytes())
}

fn experiment() -> ExperimentId {
    ExperimentId(key(EXPERIMENT))
}

impl World {
    async fn new(story: Story, template: &std::path::Path) -> Result<World, String> {
        // Memory where the system offers it as a folder: nobody waits for a disk then.
        let memory = PathBuf::from("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let dir = dir.map_err(|error| error.to_string())?;
        let (warehouse, metrics) = match story.aggregates {
            true => (json!({ "sqlite": { "path": "control.db" }, "aggregates": {} }), "config/aggregates.yml"),
            false => (json!({ "lake": { "path": "lake" } }), "config/metrics.yml"),
        };
        let settings = json!({
            "control": { "url": "sqlite:control.db" },
            "warehouse": warehouse,
            "registry": { "local": {} },
            "evidence": if story.evidence.is_null() { json!({}) } else { story.evidence.clone() },
            "metrics": folder().join(metrics),
        });
        // JSON is YAML, too.
        std::fs::write(dir.path().join("rampkeeper.yml"), settings.to_string()).map_err(|error| error.to_string())?;
        std::fs::copy(template, dir.path().join("control.db")).map_err(|error| error.to_string())?;
        let config = load(&dir, &story.promotion)?;
        let url = format!("sqlite:{}", dir.path().join("control.db").display());
        let control = ControlStore::connect(&url.into()).await.map_err(|error| error.to_string())?;
        let midnight = story.experiment.starts.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        let world = World {
            telling: Telling::new(&story.title),
            warehouse: MadeUp::new(control.clone(), story.data.clone()),
            registry: LocalRegistry::new(control.pool().clone(), TablePrefix::Sqlite),
            promotion: story.promotion.clone(),
            now: midnight.timestamp(),
            met: BTreeSet::new(),
            faults: Vec::new(),
            dir,
            story,
            config,
            control,
        };
        world.create().await?;
        Ok(world)
    }

    /// The experiment with its arms, each with a model version of its own unless the story says otherwise.
    async fn create(&self) -> Result<(), String> {
        let (id, policy, starts) = (experiment(), key("policy"), self.now.to_string());
        self.sql(&format!("INSERT INTO exp_policies (id, name) VALUES ('{policy}', 'policy')")).await?;
        self.sql(&format!(
            "INSERT INTO exp_experiments (id, name, status, unit_type, start_at, created_at, updated_at)
             VALUES ('{id}', '{EXPERIMENT}', 'active', 'user', '{starts}', '{starts}', '{starts}')"
        ))
        .await?;
        for (number, (arm, share)) in (1..).zip(&self.story.experiment.shares) {
            let serves = self.story.experiment.serves.get(arm).map(String::as_str);
            let model = |number: usize| {
                let version = key(&format!("version {number}"));
                json!({ "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": version } })
            };
            let config = match serves {
                None => {
                    self.register(number, policy).await?;
                    model(number)
                }
                Some("a flag") => json!({ "feature_enabled": true }),
                Some("an unreadable config") => json!({ "temperature": 0.7 }),
                Some("an unknown version") => model(number),
                Some(other) => {
                    let other = other.strip_prefix("what ").and_then(|rest| rest.strip_suffix(" serves"));
                    let other = self.story.experiment.shares.keys().position(|arm| Some(arm.as_str()) == other);
                    model(other.ok_or_else(|| format!("{arm} serves {serves:?}, which is not known"))? + 1)
                }
            };
            let share = share_of(share)?;
            self.sql(&format!(
                "INSERT INTO exp_variants (id, experiment_id, name, allocation, config, created_at)
                 VALUES ('{}', '{id}', '{arm}', '{}', '{config}', '2026-01-01T00:00:0{number}.000000Z')",
                key(arm),
                share.as_f64(),
            ))
            .await?;
        }
        Ok(())
    }

    /// A model version and its place in the registry: the first arm's is in production.
    async fn register(&self, number: usize, policy: Uuid) -> Result<(), String> {
        let (stage, alias) = if number == 1 { ("production", "champion") } else { ("candidate", "challenger") };
        self.sql(&format!(
            "INSERT INTO exp_policy_versions (id, policy_id, version, mlflow_model_name, mlflow_model_version)
             VALUES ('{}', '{policy}', {number}, '{MODEL}', '{number}')",
            key(&format!("version {number}"))
        ))
        .await?;
        self.sql(&format!(
            "INSERT INTO rampkeeper_registry_tags (model, version, key, value)
             VALUES ('{MODEL}', '{number}', 'stage', '{stage}')"
        ))
        .await?;
        if number <= 2 {
            self.sql(&format!(
                "INSERT INTO rampkeeper_registry_aliases (model, alias, version)
                 VALUES ('{MODEL}', '{alias}', '{number}')"
            ))
            .await?;
        }
        Ok(())
    }

    async fn night(&mut self, as_of: Date, step: &Step) -> Result<(), String> {
        let query_fails = step.query_fails.clone();
        self.warehouse.tonight(Tonight { as_of, query_fails, out_of_reach: step.out_of_reach });
        let morning = as_of.saturating_add(1.day()).to_datetime(step.at.unwrap_or(time(2, 0, 0, 0)));
        let now = morning.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?.timestamp();
        // A night that is run again begins after what happened since.
        self.now = now.max(self.now + SignedDuration::from_mins(1));
        let night = Night {
            config: &self.config,
            control: &self.control,
            warehouse: &self.warehouse,
            registry: &self.registry,
            mailer: None,
            chat: None,
            as_of,
            now: self.now,
            holder: "scenario".into(),
        };
        match night.run().await {
            Ok(report) => {
                let made = self.made(&report).await?;
                self.telling.night(&report, &made);
            }
            Err(error) => self.telling.failed(as_of, &error),
        }
        Ok(())
    }

    /// What the decisions of a night were made from, in the order of its candidates.
    async fn made(&mut self, report: &NightReport) -> Result<Vec<Made>, String> {
        let mut all = Vec::new();
        for candidate in report.decided() {
            let id = candidate.decision_id.ok_or("a decision without a key")?;
            let stored = self.stored(&id.to_string()).await?.pop().ok_or("a decision that is not stored")?;
            let made = self.made_from(stored).await?;
            self.meet(&made, candidate.forecast.as_ref());
            self.faults.extend(made.faults().into_iter().map(|fault| format!("{}: {fault}", report.as_of)));
            all.push(made);
        }
        Ok(all)
    }

    async fn made_from(&self, stored: StoredDecision) -> Result<Made, String> {
        let basis = stored.basis.ok_or("a decision without its basis")?;
        let rules = self.control.rules(&basis.rules).await.map_err(|error| error.to_string())?;
        let policy = rules.ok_or("a decision without its rules")?.policy;
        Ok(Made { policy, facts: basis.facts, assessment: stored.assessment, decision: stored.decision })
    }

    fn meet(&mut self, made: &Made, forecast: Option<&Forecast>) {
        self.met.extend(shown(made, forecast));
    }

    async fn stored(&self, id: &str) -> Result<Vec<StoredDecision>, String> {
        let wanted = Wanted { id, ..Wanted::default() };
        self.control.decisions(wanted, 1_000).await.map_err(|error| error.to_string())
    }

    /// What somebody does between two nights.
    async fn act(&mut self, step: &Step) -> Result<(), String> {
        self.now += SignedDuration::from_mins(10);
        let held = ActKind::Hold { until: step.until, even_if_harmful: step.even_if_harmful };
        let acts = [
            (&step.approve, None, "approves of"),
            (&step.reject, None, "rejects"),
            (&step.hold, Some(held), "holds"),
            (&step.resume, Some(ActKind::Resume), "lifts the hold on"),
            (&step.rollback, Some(ActKind::Rollback), "rolls back"),
        ];
        for (target, kind, verb) in acts {
            let Some(target) = target else { continue };
            let kind = match kind {
                Some(kind) => kind,
                None => self.word_about(target, step.approve.is_some()).await?,
            };
            let (experiment, candidate) = match target.as_str() {
                "everything" => (None, None),
                "the experiment" => (Some(experiment()), None),
                arm => (Some(experiment()), Some(VariantId(key(arm)))),
            };
            let by = step.by.clone().ok_or("`by` is missing")?;
            let reason = step.because.clone().ok_or("`because` is missing")?;
            let until = step.until.map_or(String::new(), |until| format!(" until {until}"));
            self.telling.said(&format!("{by} {verb} {target}{until}: {reason}"));
            let act = Act { id: key(&self.now.to_string()), kind, experiment, candidate, by, reason, at: self.now };
            self.control.tell_act(&act).await.map_err(|error| error.to_string())?;
        }
        if let Some(status) = &step.set_status {
            self.telling.said(&format!("somebody sets the experiment to {status}"));
            self.sql(&format!("UPDATE exp_experiments SET status = '{status}'")).await?;
        }
        if !step.set_shares.is_empty() {
            self.set_shares(&step.set_shares).await?;
        }
        if let Some(edit) = &step.edit_promotion {
            self.telling.said(&format!("somebody edits promotion.yml: {edit}"));
            merge(&mut self.promotion, edit);
            self.config = load(&self.dir, &self.promotion)?;
        }
        Ok(())
    }

    /// The yes or no to the last decision about a candidate.
    async fn word_about(&self, arm: &str, yes: bool) -> Result<ActKind, String> {
        let candidate = VariantId(key(arm));
        let last = self.stored("").await?.into_iter().rfind(|stored| stored.candidate == candidate);
        let last = last.ok_or_else(|| format!("nothing was decided about {arm} yet"))?;
        let waiting = last.decision.reasons.iter().find_map(|reason| match reason {
            Reason::AwaitingApproval { stage, .. } => Some(*stage),
            _ => None,
        });
        let at = last.basis.as_ref().map_or(0, |basis| basis.facts.state.stage);
        let (decision, as_of, stage) = (last.id, last.as_of, waiting.unwrap_or(at));
        Ok(if yes { ActKind::Approve { decision, as_of, stage } } else { ActKind::Reject { decision, as_of, stage } })
    }

    async fn set_shares(&mut self, shares: &Map<String, Value>) -> Result<(), String> {
        let mut told = Vec::new();
        for (arm, share) in shares {
            let share = share_of(share)?;
            told.push(format!("{arm} {share}"));
            let id = key(arm);
            self.sql(&format!("UPDATE exp_variants SET allocation = '{}' WHERE id = '{id}'", share.as_f64())).await?;
        }
        self.telling.said(&format!("somebody sets the shares by hand: {}", told.join(", ")));
        Ok(())
    }

    /// How it ended: the tables, the registry, and each decision made again from what was stored.
    async fn end(mut self) -> Result<Played, String> {
        let status = self.texts("SELECT status FROM exp_experiments").await?.join("");
        let arms =
            self.texts("SELECT id || '|' || name || '|' || allocation FROM exp_variants ORDER BY created_at").await?;
        let rollouts =
            self.texts("SELECT candidate_id || '|' || status || '|' || (stage + 1) FROM rampkeeper_rollouts").await?;
        let rollouts: BTreeMap<&str, (&str, &str)> = rollouts
            .iter()
            .filter_map(|row| row.split_once('|'))
            .filter_map(|(id, rest)| Some((id, rest.split_once('|')?)))
            .collect();
        let mut lines = vec![format!("the experiment is {status}")];
        for arm in &arms {
            let parts: Vec<&str> = arm.split('|').collect();
            let [id, name, share] = parts[..] else { return Err(format!("an odd variant: {arm}")) };
            let share: Share = share.parse().map_err(|error| format!("{error}"))?;
            let rollout = rollouts.get(id).map(|(status, stage)| format!(", {status} at stage {stage}"));
            lines.push(format!("{name}: {share}{}", rollout.unwrap_or_default()));
        }
        for (status, _) in rollouts.values() {
            self.met.insert(ended(status.parse::<RolloutStatus>()?));
        }
        let tags = "SELECT model || ' ' || version || ': ' || key || '=' || value || coalesce((SELECT ', ' ||
                        group_concat(a.alias, ', ') FROM rampkeeper_registry_aliases a
                        WHERE a.model = t.model AND a.version = t.version), '')
                    FROM rampkeeper_registry_tags t ORDER BY model, version";
        lines.extend(self.texts(tags).await?);
        let stored = self.stored("").await?;
        let mut recalled = Vec::new();
        for decision in stored {
            let again = recall(&self.control, decision).await.map_err(|error| error.to_string())?;
            recalled.push(again.ok_or("a decision without its basis")?);
        }
        for repeated in repeat(recalled).iter().filter(|repeated| !repeated.agrees()) {
            let stored = &repeated.recalled.stored;
            self.faults.push(format!("{} {}: made again, it is another", stored.as_of, stored.candidate_name));
        }
        self.control.pool().close().await;
        Ok(Played { text: self.telling.end(&lines), met: self.met, faults: self.faults })
    }

    async fn texts(&self, sql: &str) -> Result<Vec<String>, String> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let rows = sqlx::query(sql).fetch_all(self.control.pool()).await.map_err(|error| error.to_string())?;
        rows.iter().map(|row| row.try_get::<String, _>(0).map_err(|error| error.to_string())).collect()
    }

    async fn sql(&self, sql: &str) -> Result<(), String> {
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(self.control.pool()).await;
        done.map(drop).map_err(|error| format!("{error} in {sql}"))
    }
}

fn share_of(value: &Value) -> Result<Share, String> {
    let share = value.as_f64().ok_or_else(|| format!("{value} is no share; write 0.10"))?;
    Share::try_from(share).map_err(|error| error.to_string())
}

fn load(dir: &TempDir, promotion: &Value) -> Result<Config, String> {
    std::fs::write(dir.path().join("promotion.yml"), promotion.to_string()).map_err(|error| error.to_string())?;
    config::load(&dir.path().join("rampkeeper.yml")).map_err(|error| error.to_string())
}

/// A merge patch (RFC 7396).
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(target) = into.as_object_mut() else { return };
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.remove(key)),
            value => merge(target.entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}
