//! Closed cohorts: evidence that was read once and never changes.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::by_metric::ByMetric;
use crate::domain::{Metric, VariantId};

/// One variant's units that were first exposed on one date in one epoch, once their window has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Cohort {
    /// The date of first exposure (UTC).
    pub date: Date,
    /// The allocation epoch.
    pub epoch: i64,
    /// The arm.
    pub variant: VariantId,
    /// Moments by metric name; every metric of the set that was asked for is there.
    pub moments: ByMetric,
    /// What is known about the data behind them.
    pub health: CohortHealth,
}

/// Counts that tell whether a cohort's numbers can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortHealth {
    /// Units in the cohort.
    pub units: u64,
    /// Their events of the used types inside the window.
    pub events: u64,
    /// Fields that a metric reads and that an event lacks.
    pub missing: u64,
    /// Fields that a metric reads and that hold something other than a number.
    pub not_numbers: u64,
    /// Units that were seen in another arm too, and so are in none.
    pub multiple_exposed: u64,
}

impl Cohort {
    /// A checksum of the cohort's numbers at 12 significant digits, so that another order of summing keeps it.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{} {} {} {:?}\n", self.date, self.epoch, self.variant, self.health));
        for (metric, m) in self.moments.iter() {
            let numbers = [m.mean_y, m.m2_y, m.mean_d, m.m2_d, m.c_yd].map(|x| format!("{x:.11e}")).join(" ");
            hash.update(format!("{metric} {} {numbers}\n", m.n));
        }
        format!("{:x}", hash.finalize())
    }

    /// With its checksum.
    pub fn checked(self) -> (Cohort, String) {
        let checksum = self.checksum();
        (self, checksum)
    }
}

/// The metrics of one window, with the digest of their definitions.
///
/// Cohorts are stored under this digest: a changed definition is another metric and is read anew, from the start.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSet {
    /// The window that the metrics share, in days.
    pub window_days: u16,
    /// The days before first exposure that their covariates share, if they have any.
    pub covariate_days: Option<u16>,
    /// The metrics by name, with what is read beside them for their covariates.
    pub metrics: Vec<Metric>,
    /// SHA-256 of the definitions, in hexadecimal.
    pub digest: String,
}

impl MetricSet {
    /// Groups metrics by window, shortest first, and those with a covariate by its days apart from those without: they read
    /// far more events, and a covariate that is new must not have others read anew.
    pub fn group<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> Vec<MetricSet> {
        let mut by_days: BTreeMap<(u16, Option<u16>), BTreeMap<String, Metric>> = BTreeMap::new();
        for metric in metrics {
            let set = by_days.entry((metric.window_days, metric.covariate_days)).or_default();
            for metric in std::iter::once(metric.clone()).chain(metric.companions()) {
                set.insert(metric.name.clone(), metric);
            }
        }
        let sets = by_days.into_iter().map(|((window_days, covariate_days), metrics)| {
            let metrics: Vec<Metric> = metrics.into_values().collect();
            // Names, directions and texts do not change what is read, but a name is the key under which it is stored.
            let defined: Vec<_> = metrics.iter().map(|m| (&m.name, &m.form)).collect();
            let text = format!("{window_days} {}", serde_json::json!(defined));
            let digest = format!("{:x}", Sha256::digest(text));
            MetricSet { window_days, covariate_days, metrics, digest }
        });
        sets.collect()
    }
}

/// The last date of `from..` whose cohort can be closed: its window has ended by `as_of`, and every day partition that
/// the window touches is complete. `None` if not even the first can.
///
/// It stops at the first gap: a cohort is never closed over a missing partition, and never skipped.
pub fn closable_through(from: Date, as_of: Date, window_days: u16, complete: impl Fn(Date) -> bool) -> Option<Date> {
    let mut last = None;
    let mut date = from;
    loop {
        let Ok(end) = date.checked_add(i64::from(window_days).days()) else { break };
        let mut days = date.series(1.days()).take_while(|day| *day <= end);
        if end > as_of || !days.all(&complete) {
            break;
        }
        last = Some(date);
        let Ok(next) = date.tomorrow() else { break };
        date = next;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Measure, Value};
    use crate::stats::Moments;
    use jiff::civil::date;

    #[test]
    fn a_cohort_closes_when_its_window_and_its_partitions_are_complete() {
        let from = date(2026, 3, 1);
        assert_eq!(closable_through(from, date(2026, 3, 5), 1, |_| true), Some(date(2026, 3, 4)));
        assert_eq!(closable_through(from, date(2026, 3, 1), 1, |_| true), None);
        let gap = |day| day != date(2026, 3, 4);
        assert_eq!(closable_through(from, date(2026, 3, 9), 1, gap), Some(date(2026, 3, 2)));
    }

    #[test]
    fn a_covariate_makes_a_set_of_its_own_and_leaves_the_others_as_they_are() {
        let value = || Measure { event: "e".into(), value: Value::Count };
        let metric = |name: &str, covariate_days| Metric { covariate_days, ..Metric::of_units(name, value()) };
        let before = MetricSet::group([&metric("a", None), &metric("b", None)]).remove(0);
        let sets = MetricSet::group([&metric("a", None), &metric("b", None), &metric("c", Some(7))]);
        assert_eq!(sets[0], before);
        let names: Vec<&str> = sets[1].metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!((names.as_slice(), sets[1].covariate_days), (&["c", "c¦yx"][..], Some(7)));
        let longer = MetricSet::group([&metric("c", Some(14))]).remove(0);
        assert_ne!(longer.digest, sets[1].digest, "other days are another definition");
    }

    #[test]
    fn the_checksum_forgives_the_order_of_summing_and_nothing_else() {
        let mut cohort = Cohort {
            date: date(2026, 3, 1),
            epoch: 0,
            variant: VariantId(uuid::Uuid::nil()),
            moments: [("m".to_owned(), Moments::of_units(10, 0.1 + 0.2, 2.0))].into(),
            health: CohortHealth { units: 10, ..Default::default() },
        };
        let before = cohort.checksum();
        cohort.moments.insert("m".into(), Moments::of_units(10, 0.3, 2.0));
        assert_eq!(cohort.checksum(), before);
        cohort.moments.insert("m".into(), Moments::of_units(10, 0.3000001, 2.0));
        assert_ne!(cohort.checksum(), before);
    }
}
