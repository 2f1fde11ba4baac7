//! The same world on the shards of a ClickHouse cluster; benches/peers/clickhouse.py puts it there.

use std::path::Path;
use std::time::Duration;

use rampkeeper::warehouse::{ClickhouseSettings, ClickhouseWarehouse, Tables};

use crate::generate::facts;

/// Collects from ClickHouse as the job does it; `one` asks for the first experiment alone.
pub fn run(url: &str, root: &Path, night: bool, one: bool, out: Option<&Path>) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let settings = ClickhouseSettings {
        url: url.parse()?,
        username: None,
        password: None,
        database: Some("bench".to_owned()),
        ca_file: None,
        statement_timeout: Duration::from_secs(600),
        tables: Tables::plain(),
    };
    let runtime = crate::runtime()?;
    let warehouse = runtime.block_on(ClickhouseWarehouse::connect(settings))?;
    let mut facts = facts(root)?;
    facts.trials.truncate(if one { 1 } else { usize::MAX });
    crate::lake::collect(&runtime, &warehouse, &facts, night, false, out)
}
