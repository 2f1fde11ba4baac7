//! Aggregates in place of events: where they lie, and that metrics and warehouse speak of the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::WarehouseEntry;
use crate::config::document::Document;
use crate::config::fault::Fault;
use crate::domain::{Metric, TableName};

/// A table of aggregates such as `exp.metric_aggregates`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregatesEntry {
    /// The table; `exp.metric_aggregates` in PostgreSQL and `exp_metric_aggregates` in SQLite unless told.
    #[schemars(with = "Option<String>")]
    pub table: Option<TableName>,
    /// Which of its rows are read; `hourly` unless told. With `daily` a day on which allocations changed is left out.
    #[serde(default)]
    pub bucket: BucketWord,
}

/// The length of time that a row stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BucketWord {
    /// An hour.
    #[default]
    Hourly,
    /// A day.
    Daily,
}

/// Aggregates lie in PostgreSQL or SQLite, and know no exposures.
pub(super) fn check(fault: &mut impl FnMut(&str, &str), warehouse: &WarehouseEntry) {
    if warehouse.aggregates.is_none() {
        return;
    }
    if warehouse.postgres.is_none() && warehouse.sqlite.is_none() {
        fault("/warehouse/aggregates", "aggregates are read in `postgres` or `sqlite`; give one of them beside this");
    }
    if warehouse.exposure != Default::default() || !warehouse.exposure_of.is_empty() {
        fault("/warehouse/exposure", "aggregates know nothing of units, so nothing exposes them; leave this out");
    }
}

/// Metrics of the other kind than the warehouse's could not be measured in a single night.
pub(in crate::config) fn agree(
    (main, warehouse): (&Document, &WarehouseEntry),
    document: &Document,
    metrics: &BTreeMap<String, Metric>,
) -> Vec<Fault> {
    let aggregates = warehouse.aggregates.is_some();
    let (of_events, of_aggregates): (Vec<&Metric>, Vec<&Metric>) =
        metrics.values().partition(|metric| metric.aggregate().is_none());
    let at = |metric: &Metric| format!("/metrics/{}", metric.name);
    match aggregates {
        true => {
            let message = "the warehouse has aggregates alone (`warehouse.aggregates`), so this needs an `aggregate`";
            of_events.into_iter().map(|metric| document.fault(&at(metric), message)).collect()
        }
        // One word where it is missing, and not one for each metric.
        false if of_events.is_empty() && !of_aggregates.is_empty() => {
            vec![main.fault("/warehouse", "all metrics are made from aggregates; give `aggregates`")]
        }
        false => {
            let no_sql = "a lake runs no SQL, so it has no facts; write these rows as events, and name them by `event`";
            let of_facts = of_events.into_iter().filter(|metric| metric.facts().next().is_some());
            let refused =
                of_facts.filter(|_| warehouse.lake.is_some()).map(|metric| document.fault(&at(metric), no_sql));
            let message =
                "the warehouse has events, so say what is summed per unit; `aggregate` needs `warehouse.aggregates`";
            refused.chain(of_aggregates.into_iter().map(|metric| document.fault(&at(metric), message))).collect()
        }
    }
}
