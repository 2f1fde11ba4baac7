//! What can go wrong in a warehouse, in words that say where and what to do.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;

use super::facts::FactFault;
use crate::domain::Fact;

/// The cause beneath a warehouse error.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a warehouse could not answer.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// No connection, or one that broke.
    #[error(
        "the warehouse {warehouse} cannot be reached; check that it runs and that host, port and credentials are right"
    )]
    Unreachable {
        /// Where it was sought, without secrets.
        warehouse: String,
        /// What the client said.
        source: Cause,
    },
    /// A server that could not be reached over TLS.
    #[error("the warehouse {warehouse} cannot be reached: {advice}")]
    Tls {
        /// Where it was sought, without secrets.
        warehouse: String,
        /// What to do.
        advice: &'static str,
        /// What the client said.
        source: Cause,
    },
    /// A table, or the folder that stands for it, is not there.
    #[error("{table} is not there; {advice}")]
    MissingTable {
        /// The table or folder.
        table: String,
        /// What to do.
        advice: String,
    },
    /// The user of the connection may not read.
    #[error("the warehouse {warehouse} refuses to let {doing} be read; grant SELECT on the tables of schema exp")]
    Forbidden {
        /// Where it is, without secrets.
        warehouse: String,
        /// What was being read.
        doing: String,
        /// What the server said.
        source: Cause,
    },
    /// The store that holds the lake does not accept the key, or lets it not read.
    #[error(
        "{warehouse} refuses to let {doing} be read; check which key is used, and that it may list the bucket and read what is in it"
    )]
    KeyRefused {
        /// The bucket.
        warehouse: String,
        /// What was being read.
        doing: String,
        /// What the store said.
        source: Cause,
    },
    /// A column that is needed is not there.
    #[error("{table} has no column {column:?}, which {needed_by} needs; there are: {}", found.join(", "))]
    MissingColumn {
        /// The table, and the day where it has days.
        table: String,
        /// The column.
        column: String,
        /// What needs it.
        needed_by: String,
        /// The columns that there are.
        found: Vec<String>,
    },
    /// A column holds something else than it should.
    #[error("{table}: column {column:?} should hold {expected}, but it holds {found}")]
    WrongColumn {
        /// The table or file.
        table: String,
        /// The column.
        column: String,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A metric reads a field that is no number in any event.
    #[error(
        "field {field} of event {event:?} should be a number, but the warehouse keeps it as {found}; mend the metric or the export"
    )]
    NotANumber {
        /// The event type.
        event: String,
        /// The field.
        field: String,
        /// What it is kept as.
        found: String,
    },
    /// A fact's SQL that the engine does not take, or may not run.
    #[error("the SQL of fact {fact} cannot be run{}", line.map_or_else(String::new, |line| format!(", by its line {line}")))]
    FactRefused {
        /// The fact.
        fact: String,
        /// The line of its file, where the engine tells it.
        line: Option<usize>,
        /// What the engine said.
        source: Cause,
    },
    /// A fact whose SQL gives other columns than are read.
    #[error("the SQL of fact {fact} gives the wrong columns: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fact {
        /// The fact.
        fact: String,
        /// What is wrong with which column.
        faults: Vec<FactFault>,
    },
    /// A day partition that is absent where it must not be, half-written or unreadable.
    #[error("{} is broken: {reason}; write the partition of {date} again", path.display())]
    BrokenPartition {
        /// The file or folder.
        path: PathBuf,
        /// The day.
        date: Date,
        /// What is wrong with it.
        reason: String,
        /// What the reader said, if it said anything.
        source: Option<Cause>,
    },
    /// The statement timeout ended the query.
    #[error("{doing} took longer than {} s and was cancelled; raise the statement timeout, or index exp.events on (unit_type, unit_id) and on timestamp", timeout.as_secs())]
    TimedOut {
        /// What was being done.
        doing: String,
        /// The limit.
        timeout: Duration,
    },
    /// Sums too large for a double.
    #[error(
        "metric {metric:?} of {cohort} is not finite: its values are too large to be squared and summed; check its unit or cap it"
    )]
    NotFinite {
        /// The metric.
        metric: String,
        /// The cohort and variant.
        cohort: String,
    },
    /// The same, told by an engine that does not say which metric it was.
    #[error(
        "{doing} failed: the values of a metric are too large to be squared and summed, so its moments are not finite; check the metrics' units or cap them"
    )]
    Overflow {
        /// What was being done.
        doing: String,
        /// What the engine said.
        source: Cause,
    },
    /// A request that contradicts itself.
    #[error("experiment {experiment:?} asks for cohorts that cannot be: {reason}")]
    BadRequest {
        /// The experiment.
        experiment: String,
        /// What contradicts what.
        reason: String,
    },
    /// Anything else that failed while reading.
    #[error("{doing} failed")]
    Query {
        /// What was being done.
        doing: String,
        /// What the engine said.
        source: Cause,
    },
}

impl WarehouseError {
    /// The same, where it is the SQL of a fact that failed: of the engine's own words if there are any.
    pub(super) fn of_fact(self, fact: &Fact, line: Option<usize>) -> Self {
        let fact = fact.name.clone();
        match self {
            error @ (Self::Unreachable { .. } | Self::Tls { .. } | Self::TimedOut { .. }) => error,
            Self::Query { source, .. } | Self::Overflow { source, .. } | Self::Forbidden { source, .. } => {
                Self::FactRefused { fact, line, source }
            }
            error => Self::FactRefused { fact, line, source: error.into() },
        }
    }

    /// An outage, as it is told of a request that is not made any more: what is out of reach for all is not sought again
    /// for each.
    pub(crate) fn of_another(&self, warehouse: &str) -> Self {
        Self::Unreachable { warehouse: warehouse.to_owned(), source: self.to_string().into() }
    }

    /// Whether every experiment is affected, so that the run fails as a whole; otherwise this experiment only.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::MissingTable { .. }
            | Self::Forbidden { .. }
            | Self::KeyRefused { .. } => true,
            Self::MissingColumn { .. }
            | Self::WrongColumn { .. }
            | Self::NotANumber { .. }
            | Self::FactRefused { .. }
            | Self::Fact { .. }
            | Self::BrokenPartition { .. }
            | Self::TimedOut { .. }
            | Self::NotFinite { .. }
            | Self::Overflow { .. }
            | Self::BadRequest { .. }
            | Self::Query { .. } => false,
        }
    }
}
