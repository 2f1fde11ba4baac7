//! `serve`: the night on its schedule, until the process is asked to stop.

use anyhow::anyhow;

use super::connect::Connections;
use super::night::{exit_of, night};
use super::{Exit, Global, now};
use crate::config;
use crate::schedule;

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
    schedule::run(&entry.cron, entry.timezone.as_deref().unwrap_or("UTC"), move || {
        let global = global.clone();
        async move {
            match one_night(&global).await {
                Ok(exit) => tracing::info!(exit = exit as u8, "the night is over"),
                Err(error) => tracing::error!("the night failed: {error:#}"),
            }
        }
    })
    .await?;
    Ok(Exit::Done)
}

async fn one_night(global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let connections = Connections::open(&config).await?;
    let report = night(&config, &connections, global, now(global)).run().await?;
    Ok(exit_of(&report))
}
