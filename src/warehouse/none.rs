//! No warehouse, for commands that act on what is stored already.

use async_trait::async_trait;
use jiff::civil::Date;

use super::{Collected, Partition, Warehouse, WarehouseError};
use crate::domain::CohortRequest;

/// A warehouse that answers nothing. Whoever asks it all the same is told that it is out of reach.
#[derive(Clone, Copy, Debug)]
pub struct NoWarehouse;

impl NoWarehouse {
    fn error(self) -> WarehouseError {
        WarehouseError::Unreachable { warehouse: self.describe(), source: "this command asks no warehouse".into() }
    }
}

#[async_trait]
impl Warehouse for NoWarehouse {
    async fn partition(&self, _: Date) -> Result<Option<Partition>, WarehouseError> {
        Err(self.error())
    }

    async fn collect(&self, _: &CohortRequest<'_>) -> Result<Collected, WarehouseError> {
        Err(self.error())
    }

    fn describe(&self) -> String {
        "(none)".to_owned()
    }
}
