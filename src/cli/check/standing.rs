//! What nights left behind: the lease, and the journal.

use super::Asked;
use super::finding::{Area, Finding, in_time};
use crate::control::ControlStore;

const TABLES: &str = "run `rampkeeper migrate`; if the tables are there, see what the lines about grants say";

/// What is to be said of the right to act.
pub(super) async fn lease(asked: &Asked<'_>, store: Option<&ControlStore>) -> Vec<Finding> {
    let (area, what) = (Area::Lease, "lease");
    let Some(store) = store else { return Vec::new() };
    vec![match in_time(store.lease_row()).await {
        Ok(None) => Finding::ok(area, what, "free"),
        Ok(Some((holder, until))) if until > asked.now => {
            Finding::ok(area, what, format!("a run is at work: {holder}, until {until}"))
        }
        Ok(Some((holder, until))) => {
            let detail = format!("{holder} left it behind when it died; it ran out at {until}");
            Finding::warn(area, what, detail, "see why that run died; the next one takes the lease and goes on")
        }
        Err(error) => Finding::fail(area, what, error, TABLES),
    }]
}

/// What is to be said of the follow-ups.
pub(super) async fn journal(asked: &Asked<'_>, store: Option<&ControlStore>) -> Vec<Finding> {
    let area = Area::Journal;
    let Some(store) = store else { return Vec::new() };
    let open = match in_time(store.due_actions(asked.now)).await {
        Ok(open) => open,
        Err(error) => return vec![Finding::fail(area, "journal", error, TABLES)],
    };
    if open.is_empty() {
        return vec![Finding::ok(area, "journal", "nothing is left to be done")];
    }
    let told = open.iter().map(|open| {
        let error = open.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let since = format!("the oldest since {}", open.oldest);
        if open.given_up {
            let detail = format!("{} given up, {since}{error}", open.count);
            let mend = "do by hand what is missing; the words after the colon say why it could not be done";
            Finding::warn(area, &open.kind, detail, mend)
        } else {
            let detail = format!("{} to be done, {since}, tried {} times{error}", open.count, open.attempts);
            Finding::warn(
                area,
                &open.kind,
                detail,
                "mend what keeps it from being done; the next `rampkeeper run` tries again",
            )
        }
    });
    told.collect()
}
