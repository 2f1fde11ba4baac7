//! What holds for an experiment now, beside its evidence: what people said, and what the configuration says.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::control::{ExperimentRecord, StoredAmendment};
use crate::decide::Reason;
use crate::domain::{ExperimentStatus, Freeze, Mode, Policy, RolloutStatus, Wish};

/// Something that people said, or that the configuration says, and that holds now.
#[derive(Debug, Serialize)]
pub(super) struct InForce {
    pub(super) what: &'static str,
    /// The candidates or the experiment that it concerns; empty for all.
    pub(super) on: Vec<String>,
    pub(super) told: String,
}

/// What holds for an experiment now.
pub(super) fn in_force(
    record: &ExperimentRecord,
    policy: &Policy,
    amendment: Option<&StoredAmendment>,
    now: Timestamp,
) -> Vec<InForce> {
    let name = &record.experiment.name;
    let mut found: Vec<InForce> = Vec::new();
    let mut put = |what: &'static str, on: String, told: String| {
        // One hold on an experiment concerns all of its candidates.
        match found.iter_mut().find(|other| other.what == what && other.told == told) {
            Some(other) => other.on.push(on),
            None => found.push(InForce { what, on: vec![on], told }),
        }
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    for state in record.rollouts.iter().filter(|state| state.status == RolloutStatus::Ramping) {
        let Some(variant) = record.experiment.variant_by_id(state.candidate) else { continue };
        let wish = Wish::of(&record.acts, state, today);
        let on = || format!("{name}/{}", variant.name);
        if let Some(hold) = wish.hold {
            put("hold", on(), Reason::HeldByHand { hold }.to_string());
        }
        for (what, said) in [("approval", &wish.approved), ("rejection", &wish.rejected), ("rollback", &wish.rollback)]
        {
            if let Some(said) = said {
                put(what, on(), format!("{what} by {}: {}", said.by, said.reason));
            }
        }
    }
    if let Some(freeze) = Freeze::first_at(&policy.freezes, now) {
        put("freeze", name.clone(), Reason::Frozen { freeze }.to_string());
    }
    if policy.mode == Mode::Advise {
        put("advice only", name.clone(), "advice only: every night says what it would do, and changes nothing".into());
    }
    if let Some(amendment) = amendment {
        put("amendment", name.clone(), told_of(amendment));
    }
    if record.experiment.status == ExperimentStatus::Paused {
        put("paused", name.clone(), "paused: it is left as it is until it is active again".to_owned());
    }
    found
}

fn told_of(amendment: &StoredAmendment) -> String {
    let mut told = format!("rules changed with the night of {}: {}", amendment.as_of, amendment.changes.join("; "));
    if let Some(from) = amendment.evidence_from {
        told.push_str(&format!("; units count from {from} on"));
    }
    told
}
