//! What facts give, asked of the engine before any statement is made with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Engine, Known, Row, Statement, cohorts};
use crate::domain::Fact;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::facts::{Shape, faults};
use crate::warehouse::needs::{FactNeed, Needs};

/// The columns of the facts that were asked about; shared by all that read one warehouse.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes(Arc<Mutex<BTreeMap<Fact, Shape>>>);

impl Shapes {
    /// What a fact's SQL gives; an engine is asked once.
    pub(super) async fn of(&self, engine: &dyn Engine, fact: &Fact) -> Result<Shape, WarehouseError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(fact).cloned();
        if let Some(shape) = known {
            return Ok(shape);
        }
        let shape = engine.describe(fact).await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(fact.clone(), shape.clone());
        Ok(shape)
    }

    /// What the request's facts give, once nothing is wrong with it.
    async fn of_all(&self, engine: &dyn Engine, needs: &Needs, known: &Known) -> Result<Vec<Shape>, WarehouseError> {
        let mut shapes = Vec::with_capacity(needs.facts.len());
        for need in &needs.facts {
            let shape = self.of(engine, &need.fact).await?;
            let faults = faults(need, &shape, known.dialect.as_ref());
            if !faults.is_empty() {
                return Err(WarehouseError::Fact { fact: need.fact.name.clone(), faults });
            }
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// The one query of a request.
    pub(super) async fn question(
        &self,
        engine: &dyn Engine,
        needs: &Needs,
        known: Known,
    ) -> Result<Statement, WarehouseError> {
        if needs.facts.is_empty() {
            return cohorts(needs, &known, &[]);
        }
        let shapes = self.of_all(engine, needs, &known).await?;
        cohorts(needs, &known.gathered(engine.tables()), &shapes)
    }
}

/// The answer to the one query of a request.
pub(super) async fn rows(
    engine: &dyn Engine,
    needs: &Needs,
    statement: &Statement,
    doing: &str,
) -> Result<Vec<Row>, WarehouseError> {
    match needs.facts.is_empty() {
        true => engine.rows(statement, doing).await,
        false => engine.rows_of_facts(statement, doing).await.map_err(|error| of_facts(error, &needs.facts)),
    }
}

/// What keeps a fact from being read concerns who reads the fact, and not the whole night.
fn of_facts(error: WarehouseError, facts: &[FactNeed]) -> WarehouseError {
    let names: Vec<&str> = facts.iter().map(|need| need.fact.name.as_str()).collect();
    match error {
        error @ (WarehouseError::Forbidden { .. } | WarehouseError::MissingTable { .. }) if !names.is_empty() => {
            WarehouseError::FactRefused { fact: names.join(", "), line: None, source: error.into() }
        }
        error => error,
    }
}
