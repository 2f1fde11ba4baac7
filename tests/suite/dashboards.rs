//! What dashboards show: files that Metabase's own tools accept, queries that PostgreSQL answers for a user who may read the
//! views and nothing else, and a push that makes a Metabase have them.

mod files;
mod pushed;
mod shown;
