//! Rows become domain values here, or say exactly which value of which row cannot be.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Decode, Row, Type};

use super::error::{ControlError, while_doing};

/// A row of a table, with the key that names it in a message.
pub(super) struct Reader<'a> {
    pub(super) table: &'static str,
    pub(super) key: String,
    pub(super) row: &'a AnyRow,
}

impl<'a> Reader<'a> {
    /// Reads `key_column` first, so that every further fault names the row.
    pub(super) fn new(table: &'static str, key_column: &'static str, row: &'a AnyRow) -> Result<Self, ControlError> {
        let reader = Self { table, key: "?".into(), row };
        let key: String = reader.get(key_column)?;
        Ok(Self { key, ..reader })
    }

    /// A column of a plain type.
    pub(super) fn get<T>(&self, column: &'static str) -> Result<T, ControlError>
    where
        T: for<'r> Decode<'r, sqlx::Any> + Type<sqlx::Any>,
    {
        self.row
            .try_get(column)
            .map_err(while_doing(format!("read column `{column}` of table {}, row {}", self.table, self.key)))
    }

    /// A text column that holds a value of another type.
    pub(super) fn parse<T>(&self, column: &'static str) -> Result<T, ControlError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text: String = self.get(column)?;
        text.parse().map_err(|error: T::Err| self.wrong(column, format!("{text:?}"), error.to_string()))
    }

    /// The same, or nothing.
    pub(super) fn parse_optional<T>(&self, column: &'static str) -> Result<Option<T>, ControlError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text: Option<String> = self.get(column)?;
        let parsed = text.map(|text| {
            text.parse().map_err(|error: T::Err| self.wrong(column, format!("{text:?}"), error.to_string()))
        });
        parsed.transpose()
    }

    /// A count.
    pub(super) fn count(&self, column: &'static str) -> Result<u64, ControlError> {
        let value: i64 = self.get(column)?;
        u64::try_from(value).map_err(|_| self.wrong(column, value.to_string(), "zero or more".into()))
    }

    /// A column with JSON in it.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, ControlError> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|error| self.wrong(column, format!("{text:.80}"), error.to_string()))
    }

    pub(super) fn wrong(&self, column: &'static str, found: String, expected: String) -> ControlError {
        ControlError::Row { table: self.table, key: self.key.clone(), column, found, expected }
    }
}

/// A time as both dialects store and compare it: UTC, microseconds, always of the same length.
pub(super) fn text_of(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
