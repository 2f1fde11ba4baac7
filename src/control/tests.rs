//! The store on SQLite; the same calls run on PostgreSQL in the integration tests.
