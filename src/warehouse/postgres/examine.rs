//! A closer look at the tables in PostgreSQL.

use async_trait::async_trait;
use jiff::civil::Date;
use sqlx::Row;
use sqlx::types::chrono::{DateTime, Utc};

use super::{PostgresWarehouse, faults};
use crate::domain::{Metric, Session};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::examine::{Examine, SAMPLE, Sample, rehearsal};
use crate::warehouse::instants::{date_of, midnight, next_midnight};
use crate::warehouse::sql::{self, Bind, Dialect, Statement};

#[async_trait]
impl Examine for PostgresWarehouse {
    async fn session(&self) -> Result<Option<Session>, WarehouseError> {
        let doing = "asking the server about the connection";
        let sql = include_str!("../../../queries/checks/session.sql").to_owned();
        let text = async {
            let rows = self.rows(&Statement { sql, binds: Vec::new() }).await?;
            rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<String, _>(0)
        };
        match text.await {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| WarehouseError::Query { doing: doing.to_owned(), source: error.into() }),
            Err(error) => Err(self.explain(error, doing.to_owned()).await),
        }
    }

    async fn faults(&self, _until: Date) -> Result<Vec<WarehouseError>, WarehouseError> {
        match faults::columns(&self.pool).await {
            Ok(columns) => Ok(faults::schema_faults(&columns)),
            Err(error) => Err(self.explain(error, "looking at the tables".to_owned()).await),
        }
    }

    async fn newest(&self, until: Date) -> Result<Option<Date>, WarehouseError> {
        let statement = Statement {
            sql: include_str!("../../../queries/warehouse/newest.sql").to_owned(),
            binds: vec![Bind::Instant(next_midnight(midnight(until)))],
        };
        let read = async {
            let rows = self.rows(&statement).await?;
            rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<Option<DateTime<Utc>>, _>(0)
        };
        match read.await {
            Ok(latest) => Ok(latest.and_then(|latest| date_of(latest.timestamp_micros()))),
            Err(error) => Err(self.explain(error, "looking for the newest event".to_owned()).await),
        }
    }

    async fn rehearse(&self, metric: &Metric, day: Date) -> Result<Vec<Sample>, WarehouseError> {
        let doing = || format!("rehearsing metric {:?}", metric.name);
        // The server plans the query and checks what it names and who may read it, and reads nothing.
        let statement = sql::compile(&rehearsal(metric, day)?, &sql::Postgres)?;
        let explain = Statement { sql: format!("EXPLAIN {}", statement.sql), ..statement };
        if let Err(error) = self.rows(&explain).await {
            return Err(self.explain(error, doing()).await);
        }
        let mut samples = Sample::of(metric);
        for sample in &mut samples {
            if let Err(error) = self.look_at(sample, day).await {
                return Err(self.explain(error, doing()).await);
            }
        }
        Ok(samples)
    }
}

impl PostgresWarehouse {
    async fn look_at(&self, sample: &mut Sample, day: Date) -> Result<(), sqlx::Error> {
        let json = match &sample.field {
            Some(field) => sql::Postgres.json_member(&format!("e.{}", field.root.as_str()), &field.key),
            None => "CAST('0' AS jsonb)".to_owned(),
        };
        let sql = include_str!("../../../queries/warehouse/sample.sql")
            .replace("{missing}", &sql::Postgres.is_missing("json"))
            .replace("{number}", &sql::Postgres.number("json"))
            .replace("{json}", &json);
        let binds = vec![
            Bind::Text(sample.event.clone()),
            Bind::Instant(midnight(day)),
            Bind::Instant(next_midnight(midnight(day))),
            Bind::Integer(i64::from(SAMPLE)),
        ];
        let rows = self.rows(&Statement { sql, binds }).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let count = |name: &str| row.try_get::<i64, _>(name).map(|count| u64::try_from(count).unwrap_or_default());
        (sample.events, sample.missing, sample.not_numbers) =
            (count("events")?, count("missing")?, count("not_numbers")?);
        Ok(())
    }
}
