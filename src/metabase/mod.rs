//! Dashboards in Metabase: what they show is written down in `queries/metabase`, and [`push`] makes it so by Metabase's
//! REST API.
//!
//! What is ours bears a mark at the end of its description. Nothing else is ever changed, and nothing is deleted: what is
//! ours and not wanted any more is archived. A push that finds everything as it should be sends no change.

mod api;
mod content;
mod push;
mod wanted;

pub use api::{Api, MetabaseError};
pub use content::{Card, Collection, Content, Dashboard, FILES, Mapping, Place};
pub use push::{Change, Deed, Outcome, Target, push};
