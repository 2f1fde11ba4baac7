//! A closer look at a table of aggregates.

use async_trait::async_trait;
use jiff::civil::{Date, date};

use super::AggregatesWarehouse;
use crate::domain::{Metric, Rows, Session};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::{Examine, Remark, Sample};
use crate::warehouse::instants::{date_of, midnight, next_midnight};
use crate::warehouse::sql::{self, Engine};

#[async_trait]
impl<E: Engine> Examine for AggregatesWarehouse<E> {
    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        self.engine.session().await
    }

    async fn remarks(&self) -> Result<Vec<Remark>, WarehouseError> {
        self.engine.remarks().await
    }

    async fn faults(&self, _until: Date) -> Result<Vec<WarehouseError>, WarehouseError> {
        self.engine.faults().await
    }

    async fn newest(&self, until: Date) -> Result<Option<Date>, WarehouseError> {
        let doing = "looking for the newest aggregates";
        let statement = self.of_time(midnight(date(1970, 1, 1)), next_midnight(midnight(until))).await?;
        let rows = self.engine.rows(&statement, doing).await?;
        Ok(sql::only(&rows, doing)?[1].integer().and_then(date_of))
    }

    /// The samples are named by `metric_name`, and count all of its events of that day.
    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError> {
        let doing = format!("rehearsing metric {:?}", metric.name);
        let (from, to) = (midnight(day), next_midnight(midnight(day)));
        let mut samples = Vec::new();
        for name in metric.aggregate().into_iter().flat_map(|aggregate| aggregate.of.names()) {
            let statement = self.of_name(name, from, to).await?;
            let rows = self.engine.rows(&statement, &doing).await?;
            let events = sql::only(&rows, &doing)?[0].count(&doing)?.unsigned_abs();
            samples.push(Sample { of: Rows::Event(name.to_owned()), field: None, events, missing: 0, not_numbers: 0 });
        }
        Ok(samples)
    }
}
