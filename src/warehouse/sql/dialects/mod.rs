//! The engines' own words, one file each.

mod clickhouse;
mod mysql;
mod postgres;
mod sqlite;

pub(crate) use clickhouse::{Clickhouse, Typed};
pub(crate) use mysql::Mysql;
pub(crate) use postgres::Postgres;
pub(crate) use sqlite::Sqlite;
