//! Real servers for the tests: PostgreSQL, MariaDB, ClickHouse, MLflow, an object store and a mail server, each on a port of its own on this machine.
//!
//! `tests/run` installs what they need and says where it is. No server outlives its test process, however that ends: see
//! [`launcher`]. What the servers hold is read back without the code under test, by `psql`, plain HTTP and Python's
//! own mail parser, so that a fault cannot hide on both sides.

pub mod clickhouse;
pub mod hooks;
pub mod launcher;
pub mod mail_checkers;
pub mod mariadb;
pub mod metabase;
pub mod mlflow;
pub mod postgres;
pub mod s3;
pub mod smtp;
pub mod tls;
pub mod users;
