//! One statement for many requests: the events are read once for all experiments that are alike, and each shard adds up its own
//! units.
//!
//! A request that cannot be met in this way, or whose statement fails, is left to the query of its own: nothing here may
//! change an answer, and no request spoils another.

mod alike;
mod answer;
mod question;
mod statement;

use super::Clickhouse;
use crate::warehouse::cohort_rows::CohortRow;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::needs::Needs;
use crate::warehouse::sql::{Engine, Known};
use question::Question;

/// The answer to one request; none if it is to be asked by its own query.
type Answer = Option<Result<Vec<CohortRow>, WarehouseError>>;

impl Clickhouse {
    /// The rows of each request, from as few statements as memory allows.
    pub(super) async fn ask_together(&self, requests: &[Needs]) -> Result<Vec<Answer>, WarehouseError> {
        let known = self.known().await?;
        let mut answers: Vec<Answer> = requests.iter().map(|_| None).collect();
        let mut groups = alike::alike(requests);
        for group in &mut groups {
            // What its tables lack is told by its own query.
            group.retain(|place| self.refuses(&requests[*place]).is_none());
        }
        groups.retain(|group| !group.is_empty());
        if groups.iter().any(|group| group.len() > 1) {
            groups = alike::bounded(groups.clone(), &self.sizes(requests, &groups).await?);
        }
        for group in groups {
            let members: Vec<&Needs> = group.iter().map(|place| &requests[*place]).collect();
            match self.ask_one(&members, &known).await {
                Ok(rows) => {
                    for (place, rows) in group.into_iter().zip(rows) {
                        answers[place] = rows.map(Ok);
                    }
                }
                Err(error) if requests.len() > 1 && error.is_outage() => return Err(error),
                Err(error) if members.len() > 1 => {
                    tracing::info!("{} experiments are asked for one by one: {error}", members.len());
                }
                Err(error) => answers[group[0]] = Some(Err(error)),
            }
        }
        Ok(answers)
    }

    async fn ask_one(&self, members: &[&Needs], known: &Known) -> Result<Vec<Option<Vec<CohortRow>>>, WarehouseError> {
        let Some((question, typed)) = Question::of(members).zip(self.typed.get()) else { return Ok(Vec::new()) };
        let doing = match members {
            [one] => format!("collecting experiment {:?}", one.experiment),
            many => format!("collecting {} experiments", many.len()),
        };
        let rows = self.rows(&statement::together(&question, typed, known)?, &doing).await?;
        answer::cohorts(&question, &rows, &doing)
    }

    /// How many exposures each request has, so that no statement holds too many.
    async fn sizes(&self, requests: &[Needs], groups: &[Vec<usize>]) -> Result<Vec<i64>, WarehouseError> {
        let mut sizes = vec![0; requests.len()];
        for group in groups.iter().filter(|group| group.len() > 1) {
            let members: Vec<&Needs> = group.iter().map(|place| &requests[*place]).collect();
            let Some((question, typed)) = Question::of(&members).zip(self.typed.get()) else { continue };
            let doing = format!("counting the exposures of {} experiments", members.len());
            let rows = self.rows(&statement::sizes(&question, typed, &self.tables)?, &doing).await?;
            for row in &rows {
                let (trial, size) = (row[0].count(&doing)?, row[1].count(&doing)?);
                let place = usize::try_from(trial - 1).ok().and_then(|place| group.get(place));
                if let Some(place) = place {
                    sizes[*place] = size;
                }
            }
        }
        Ok(sizes)
    }
}
