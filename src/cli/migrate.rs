//! `migrate`: the tables of the control store.

use super::{Exit, Global, connect};
use crate::config;

/// Creates or updates the tables.
pub(super) async fn migrate(global: &Global) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let control = connect::new_control(&config).await?;
    control.migrate().await?;
    println!("The tables of {} are up to date.", control.describe());
    Ok(Exit::Done)
}
