//! A made-up world with known truth, which the real job lives through night by night.
//!
//! The world writes what a real one would: an assignment service that follows the allocation table, events in a Parquet
//! lake. The job is the same one that `rampkeeper run` starts; nothing here tells it what is true.

mod lake;
mod setup;
mod traffic;
mod world;

use std::path::Path;

use anyhow::Context;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::config::{self, Config};
use crate::control::ControlStore;
use crate::decide::{Outcome, Reason};
use crate::night::{Extent, NIGHTS, Night, SiteWritten, write_site};
use crate::notify::FileMailer;
use crate::registry::{LocalRegistry, TablePrefix};
use crate::report::NightReport;
use crate::warehouse::LakeWarehouse;

pub use traffic::{Assignment, DayOfTraffic, Event, Shares, Traffic};
pub use world::{Effects, Ending, Scenario, Truth, scenarios};

/// The first day of the world.
pub const FIRST_DAY: Date = date(2026, 3, 2);

/// What became of one scenario.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The scenario.
    pub scenario: Scenario,
    /// How it ended.
    pub ending: Ending,
    /// The night, from 1, of the last decision that changed something.
    pub night: Option<usize>,
    /// The candidate's share at the end, in percent and as text.
    pub share: String,
    /// The reason of the last decision.
    pub why: String,
    /// For the drifting world: the lift that pooling over the ramp would read, and the stratified one.
    pub pooled_and_stratified: Option<(f64, f64)>,
}

/// A world under way.
pub struct Demo {
    config: Config,
    control: ControlStore,
    warehouse: LakeWarehouse,
    registry: LocalRegistry,
    mailer: FileMailer,
    traffic: Traffic,
    fates: Vec<Fate>,
    night: usize,
}

impl Demo {
    /// Makes the folder, the configuration, the tables and the experiments.
    pub async fn begin(dir: &Path, seed: u64) -> anyhow::Result<Demo> {
        setup::write_configuration(dir)?;
        let mut config = config::load(&dir.join("rampkeeper.yml"))?;
        // Drawn once, when all nights are over: see `write_pages`.
        config.settings.reports = None;
        let path = dir.join("control.db");
        let control = ControlStore::connect(&format!("sqlite:{}?mode=rwc", path.display()).into()).await?;
        control.migrate().await?;
        let registry = LocalRegistry::new(control.pool().clone(), TablePrefix::Sqlite);
        let scenarios = scenarios();
        setup::create_experiments(&control, &registry, &scenarios).await?;
        let lake = dir.join("lake");
        for folder in ["events", "assignments"] {
            let folder = lake.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        }
        let fates = scenarios.iter().map(|scenario| Fate {
            scenario: scenario.clone(),
            ending: Ending::Held,
            night: None,
            share: "10 %".into(),
            why: String::new(),
            pooled_and_stratified: None,
        });
        Ok(Demo {
            fates: fates.collect(),
            traffic: Traffic::new(scenarios, seed),
            warehouse: LakeWarehouse::open(lake)?,
            mailer: FileMailer::new(dir.join("mails")),
            config,
            control,
            registry,
            night: 0,
        })
    }

    /// One day of traffic and the night after it.
    pub async fn next_night(&mut self, dir: &Path) -> anyhow::Result<NightReport> {
        let day = FIRST_DAY.checked_add(i64::try_from(self.night)?.days())?;
        let shares = setup::shares(&self.control).await?;
        let traffic = self.traffic.day(day, &shares);
        lake::write_day(&dir.join("lake"), day, &traffic)?;
        setup::store_assignments(&self.control, &traffic.assignments).await?;
        self.night += 1;
        let night = Night {
            config: &self.config,
            control: &self.control,
            warehouse: &self.warehouse,
            registry: &self.registry,
            mailer: Some(&self.mailer),
            chat: None,
            as_of: day,
            now: two_in_the_night_after(day)?,
            holder: "demo".into(),
        };
        let report = night.run().await?;
        self.follow(&report);
        Ok(report)
    }

    /// Notes what the night did to each scenario.
    fn follow(&mut self, report: &NightReport) {
        for experiment in &report.experiments {
            let Some(fate) = self.fates.iter_mut().find(|f| f.scenario.experiment == experiment.name) else { continue };
            for candidate in &experiment.candidates {
                fate.why = candidate.decision.reasons.first().map(ToString::to_string).unwrap_or_default();
                fate.share = candidate.share.to_string();
                match &candidate.decision.outcome {
                    Outcome::Rollback => (fate.ending, fate.share) = (Ending::RolledBack, "0 %".into()),
                    Outcome::Promote => (fate.ending, fate.share) = (Ending::Promoted, "100 %".into()),
                    Outcome::Ramp { to, .. } => (fate.ending, fate.share) = (Ending::Held, to.to_string()),
                    Outcome::Hold => {
                        fate.ending = match candidate.decision.reasons.first() {
                            Some(Reason::SampleRatioMismatch { .. }) => Ending::HeldForMismatch,
                            _ if candidate.decision.reasons.iter().any(is_starved) => Ending::HeldForUnits,
                            _ => Ending::Held,
                        };
                        continue;
                    }
                }
                fate.night = Some(self.night);
            }
        }
    }

    /// Writes the pages of all nights into the folder that the configuration names.
    pub async fn write_pages(&self, dir: &Path) -> anyhow::Result<SiteWritten> {
        let extent = Extent { nights: NIGHTS, pages: None };
        Ok(write_site(&self.control, &dir.join("reports"), extent, &|_, _| ()).await?)
    }

    /// How everything ended.
    pub async fn fates(mut self) -> anyhow::Result<Vec<Fate>> {
        for fate in self.fates.iter_mut().filter(|f| matches!(f.scenario.truth, Truth::DriftingBase)) {
            fate.pooled_and_stratified = setup::pooled_and_stratified(&self.control, &self.config, fate).await?;
        }
        Ok(self.fates)
    }
}

fn is_starved(reason: &Reason) -> bool {
    matches!(reason, Reason::TooFewUnits { .. })
}

impl Fate {
    /// Whether it ended as its truth demands.
    pub fn is_right(&self) -> bool {
        self.scenario.truth.allows(self.ending)
    }
}

/// When the night's job starts.
fn two_in_the_night_after(day: Date) -> anyhow::Result<Timestamp> {
    Ok(day.tomorrow()?.to_zoned(TimeZone::UTC)?.timestamp() + SignedDuration::from_hours(2))
}
