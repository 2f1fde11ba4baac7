//! Evidence from aggregates: what was judged as if events were independent, and what that leaves unknown.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::assess::Comparison;
use crate::domain::FromAggregates;

/// That metrics were made from aggregates over events, of which nobody knows whose they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromEvents {
    /// The metrics, each with its design effect, by name.
    pub metrics: Vec<EventLevel>,
    /// What the policy lets be decided from them.
    pub allowed: FromAggregates,
}

/// One such metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLevel {
    /// Its name.
    pub metric: String,
    /// By how much its variance was inflated.
    pub design_effect: f64,
}

impl FromEvents {
    /// Of the metrics that the policy names; none where all of them know their units.
    pub(super) fn of(comparison: &Comparison<'_>) -> Option<FromEvents> {
        let policy = comparison.policy;
        let named: BTreeSet<&String> = policy.judged_by().collect();
        let event_level = |name: &String| {
            let aggregate = comparison.metrics.get(name)?.aggregate()?;
            Some(EventLevel { metric: name.clone(), design_effect: aggregate.design_effect.get() })
        };
        let metrics: Vec<EventLevel> = named.into_iter().filter_map(event_level).collect();
        (!metrics.is_empty()).then_some(FromEvents { metrics, allowed: policy.from_aggregates })
    }
}

impl fmt::Display for FromEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "CAUTION, judged from aggregates: events are taken as independent, with their variance multiplied by ",
        )?;
        let effect = |one: &EventLevel| format!("{} for {}", one.design_effect, one.metric);
        match self.metrics.as_slice() {
            [first, rest @ ..] if rest.iter().all(|one| one.design_effect == first.design_effect) => {
                write!(f, "{}", first.design_effect)?;
            }
            several => f.write_str(&several.iter().map(effect).collect::<Vec<_>>().join(", "))?,
        }
        f.write_str(
            ". Units, their split and who changed sides are not known, so the error rates are not guaranteed. ",
        )?;
        f.write_str(match self.allowed {
            FromAggregates::Lower => "A candidate may be rolled back and held, not ramped or promoted",
            FromAggregates::Ramp => "A candidate may be ramped by `from_aggregates: ramp`, and not promoted",
            FromAggregates::Promote => {
                "A candidate may be ramped and promoted all the same, by `from_aggregates: promote`"
            }
        })
    }
}
