//! What a request wants of the aggregates, and the statements that ask for it.

use std::collections::BTreeSet;

use sqlx::types::Uuid;

use super::AggregatesWarehouse;
use crate::domain::{AggregateOf, CohortRequest, DesignEffect, EpochSpan};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::{Micros, micros};
use crate::warehouse::sql::{Bind, Binder, Dialect, Engine, Statement};

/// A request in the words of aggregates.
pub(super) struct Asked {
    /// The name of the experiment, for messages.
    pub(super) experiment: String,
    key: Uuid,
    /// The metrics in the order of the request.
    pub(super) metrics: Vec<AskedMetric>,
    from: Micros,
    to: Micros,
    spans: Vec<EpochSpan>,
}

/// A metric.
pub(super) struct AskedMetric {
    pub(super) name: String,
    pub(super) of: AggregateOf,
    pub(super) design_effect: DesignEffect,
}

impl Asked {
    /// Of a request whose metrics are all made from aggregates.
    pub(super) fn of(request: &CohortRequest<'_>) -> Result<Asked, WarehouseError> {
        let experiment = request.experiment.name.clone();
        let bad = |reason: String| WarehouseError::BadRequest { experiment: experiment.clone(), reason };
        if request.from > request.to {
            return Err(bad(format!("the first date {} lies after the last, {}", request.from, request.to)));
        }
        let asked = |metric: &&crate::domain::Metric| {
            let aggregate = metric.aggregate().ok_or_else(|| {
                bad(format!("metric {:?} is a sum per unit, and aggregates know no units", metric.name))
            })?;
            let (name, of) = (metric.name.clone(), aggregate.of.clone());
            Ok(AskedMetric { name, of, design_effect: aggregate.design_effect })
        };
        let metrics: Result<Vec<AskedMetric>, WarehouseError> = request.metrics.iter().map(asked).collect();
        Ok(Asked {
            experiment: request.experiment.name.clone(),
            key: request.experiment.id.0,
            metrics: metrics?,
            from: micros(request.exposed_from()),
            to: micros(request.exposed_to()),
            spans: request.spans.clone(),
        })
    }

    /// The epoch in which a bucket lies as a whole; a bucket that saw two splits belongs to none.
    pub(super) fn epoch_of(&self, start: Micros, end: Micros) -> Option<i64> {
        let whole = |span: &&EpochSpan| micros(span.from) <= start && end <= micros(span.to);
        self.spans.iter().find(whole).map(|span| span.epoch)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.metrics.iter().flat_map(|metric| metric.of.names()).collect()
    }
}

impl<E: Engine> AggregatesWarehouse<E> {
    /// The rows of an experiment.
    pub(super) async fn of_experiment(&self, asked: &Asked) -> Result<Statement, WarehouseError> {
        let known = self.engine.known().await?;
        let dialect = known.dialect.as_ref();
        let mut binder = Binder::default();
        let b = &mut binder;
        let start = dialect.instant("a.bucket_start");
        let names: Vec<String> = asked.names().into_iter().map(|name| b.bind(Bind::Text(name.to_owned()))).collect();
        let text = include_str!("../../../queries/warehouse/aggregates.sql")
            .replace("{variant}", &dialect.key_text("a.variant_id"))
            .replace("{start}", &dialect.micros(&start))
            .replace("{count}", &dialect.integer(&format!("a.{}", dialect.quote("count"))))
            .replace("{sum}", &dialect.double(&format!("a.{}", dialect.quote("sum"))))
            .replace("{stddev}", &dialect.double(&format!("a.{}", dialect.quote("stddev"))))
            .replace("{of_experiment}", &dialect.is_key("a.experiment_id", asked.key, b))
            .replace("{names}", &names.join(", "));
        let text = self.common(&text, dialect, (asked.from, asked.to), b);
        Ok(binder.finish(&text, dialect))
    }

    /// What is counted in a stretch of time.
    pub(super) async fn of_time(&self, from: Micros, to: Micros) -> Result<Statement, WarehouseError> {
        let known = self.engine.known().await?;
        let dialect = known.dialect.as_ref();
        let mut binder = Binder::default();
        let count = format!("coalesce(sum(a.{}), 0)", dialect.quote("count"));
        let text = include_str!("../../../queries/warehouse/aggregates_day.sql")
            .replace("{count}", &dialect.integer(&count))
            .replace("{latest}", &dialect.micros(&format!("max({})", dialect.instant("a.bucket_start"))));
        let text = self.common(&text, dialect, (from, to), &mut binder);
        Ok(binder.finish(&text, dialect))
    }

    /// The same of one name.
    pub(super) async fn of_name(&self, name: &str, from: Micros, to: Micros) -> Result<Statement, WarehouseError> {
        let known = self.engine.known().await?;
        let dialect = known.dialect.as_ref();
        let mut binder = Binder::default();
        let column = |name: &str| format!("a.{}", dialect.quote(name));
        let text = include_str!("../../../queries/warehouse/aggregates_named.sql")
            .replace("{count}", &dialect.integer(&format!("coalesce(sum({}), 0)", column("count"))))
            .replace("{name}", &binder.bind(Bind::Text(name.to_owned())));
        let text = self.common(&text, dialect, (from, to), &mut binder);
        Ok(binder.finish(&text, dialect))
    }

    fn common(&self, text: &str, dialect: &dyn Dialect, (from, to): (Micros, Micros), b: &mut Binder) -> String {
        let start = dialect.instant("a.bucket_start");
        let bounds = [from, to].map(|at| b.bind(Bind::Instant(at)));
        let exactly = format!("{start} >= {} AND {start} < {}", bounds[0], bounds[1]);
        let reach = dialect.reach("a.bucket_start", from, to, b);
        let filter = reach.into_iter().chain([exactly]).collect::<Vec<_>>().join(" AND ");
        text.replace("{aggregates}", &dialect.table(&self.table))
            .replace("{bucket}", &b.bind(Bind::Text(self.bucket.word().to_owned())))
            .replace("{filter}", &filter)
    }
}
