//! The warehouse: what it is, how the way to it is protected, and whether its tables are as they are read.

use super::Asked;
use super::control::encryption;
use super::finding::{Area, Finding, in_one_line, in_time};
use crate::cli::connect;
use crate::warehouse::Examine;

const AREA: Area = Area::Warehouse;

/// What is to be said of the warehouse.
pub(super) async fn findings(asked: &Asked<'_>, warehouse: Option<&dyn Examine>) -> Vec<Finding> {
    let Some(warehouse) = warehouse else { return Vec::new() };
    let (server, tables) = tokio::join!(server(asked, warehouse), tables(asked, warehouse));
    [server, tables].concat()
}

async fn server(asked: &Asked<'_>, warehouse: &dyn Examine) -> Vec<Finding> {
    let session = match in_time(warehouse.session()).await {
        Ok(Some(session)) => session,
        Ok(None) => return remarks(asked, warehouse).await,
        Err(error) => {
            return vec![Finding::fail(AREA, "server", error, "see whether the server is well, and what its log says")];
        }
    };
    let replica = if session.replica { ", a replica" } else { "" };
    let mut findings =
        vec![Finding::ok(AREA, "server", format!("{}, version {}{replica}", warehouse.describe(), session.version))];
    findings.extend(connect::protected(asked.config).map(|protection| encryption(AREA, &session, protection)));
    findings.push(time_limit(asked));
    findings
}

fn time_limit(asked: &Asked<'_>) -> Finding {
    let seconds = connect::statement_timeout(asked.config).as_secs();
    Finding::ok(AREA, "time limit", format!("one query may take {seconds} s"))
}

/// What a warehouse says of itself that is no PostgreSQL.
async fn remarks(asked: &Asked<'_>, warehouse: &dyn Examine) -> Vec<Finding> {
    if asked.config.settings.warehouse.lake.is_some() {
        return vec![Finding::ok(AREA, "lake", warehouse.describe())];
    }
    match in_time(warehouse.remarks()).await {
        Ok(remarks) => {
            let told = remarks.into_iter().map(|remark| match remark.mend {
                None => Finding::ok(AREA, remark.what, remark.detail),
                Some(mend) => Finding::warn(AREA, remark.what, remark.detail, mend),
            });
            told.chain([time_limit(asked)]).collect()
        }
        Err(error) => {
            vec![Finding::fail(AREA, "server", error, "see whether the server is well, and what its log says")]
        }
    }
}

async fn tables(asked: &Asked<'_>, warehouse: &dyn Examine) -> Vec<Finding> {
    let mend = "mend the table or the export; docs/domain.md names the columns that are read";
    match in_time(warehouse.faults(asked.as_of)).await {
        Ok(faults) if faults.is_empty() => {
            let tables = match asked.config.settings.warehouse.aggregates {
                Some(_) => "the aggregates have the columns that are read",
                None => "events and assignments have the columns that are read",
            };
            vec![Finding::ok(AREA, "tables", tables)]
        }
        Ok(faults) => {
            let told = faults.into_iter().map(|fault| in_one_line(&fault.into()));
            told.map(|fault| Finding::fail(AREA, "tables", fault, mend)).collect()
        }
        Err(error) => vec![Finding::fail(AREA, "tables", error, mend)],
    }
}
