//! `serve`: the night on its schedule, until the process is asked to stop.

use anyhow::anyhow;

use super::connect::Connections;
use super::night::{exit_of, night};
use super::pulse::Pulse;
use super::{Exit, Global, now};
use crate::config::{self, Config};
use crate::report::NightReport;
use crate::schedule::{self, BreakOff};

/// Runs the night whenever the schedule says so. The configuration is read and the servers are connected anew each
/// time, so that a mended file or a moved server needs no restart.
pub(super) async fn serve(global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let Some(entry) = &config.settings.schedule else {
        return Err(anyhow!(
            "{}: `schedule` is missing; write schedule: {{ cron: \"0 30 2 * * *\", timezone: UTC }}",
            global.config.display()
        ));
    };
    let global = global.clone();
    schedule::run(&entry.cron, entry.timezone.as_deref().unwrap_or("UTC"), move |break_off| {
        let global = global.clone();
        async move {
            match one_night(&global, break_off).await {
                Ok(exit) => tracing::info!(exit = exit as u8, "the night is over"),
                Err(error) => tracing::error!("the night failed: {error:#}"),
            }
        }
    })
    .await?;
    Ok(Exit::Done)
}

async fn one_night(global: &Global, break_off: BreakOff) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let pulse = Pulse::begin(&config);
    let ended = decide_one(&config, global, break_off).await;
    pulse.end(&ended).await;
    Ok(exit_of(&ended?))
}

async fn decide_one(config: &Config, global: &Global, break_off: BreakOff) -> anyhow::Result<NightReport> {
    let connections = tokio::select! {
        connections = Connections::open(config) => connections?,
        () = break_off.clone().wait() => return Err(anyhow!("stopped before every server was connected")),
    };
    Ok(night(config, &connections, global, now(global)).run_until(break_off.wait()).await?)
}
