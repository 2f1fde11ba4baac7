//! Data that were restated after they had been decided from: the latest days are counted again every night, or their
//! checksums taken, and where one has changed, the cohorts that it touches are read again. What was decided from stays
//! beside what is known now.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::ahead::Ahead;
use super::days::Days;
use super::error::NightError;
use super::replay::recall;
use super::{Mode, Night};
use crate::control::{ExperimentRecord, StoredDecision, Wanted};
use crate::evidence::{Cohort, MetricSet, assess, closed_by};
use crate::report::{Restatement, WouldHaveBeen};

/// A day whose events are no longer those that were decided from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RestatedDay {
    pub(super) date: Date,
    pub(super) rows_before: u64,
    pub(super) rows_now: u64,
}

impl RestatedDay {
    fn told(&self) -> String {
        match self.rows_before == self.rows_now {
            true => format!("{} ({} events, changed in place)", self.date, self.rows_now),
            false => format!("{} ({} events, {} now)", self.date, self.rows_before, self.rows_now),
        }
    }
}

/// The closed cohorts of `first..=last` that events of a day touch: those of whoever was first exposed on it, or a window
/// before, or has it among the days of a covariate.
pub(super) fn touched_by(day: Date, set: &MetricSet, first: Date, last: Date) -> Option<(Date, Date)> {
    let from = day.saturating_sub(i64::from(set.window_days).days()).max(first);
    let to = day.saturating_add(i64::from(set.covariate_days.unwrap_or(0)).days()).min(last);
    (from <= to).then_some((from, to))
}

impl Night<'_> {
    /// Reads the cohorts again that restated days touch, puts those that differ into `cohorts`, and keeps them as further
    /// revisions. Gives how many there are.
    pub(super) async fn restate(
        &self,
        record: &ExperimentRecord,
        set: &MetricSet,
        cohorts: &mut [(Cohort, String)],
        days: &mut Days<'_>,
        ahead: &Ahead,
        mode: Mode,
    ) -> Result<usize, NightError> {
        let (Some(first), Some(last)) =
            (cohorts.iter().map(|(c, _)| c.date).min(), cohorts.iter().map(|(c, _)| c.date).max())
        else {
            return Ok(0);
        };
        let mut differing = Vec::new();
        let restated: Vec<Date> = days.restated().iter().map(|day| day.date).collect();
        for day in restated {
            let Some(dates) = touched_by(day, set, first, last) else { continue };
            let Ok(again) = self.close(record, set, dates, ahead).await else {
                // The stored evidence stands, and the day is looked at again by the next night.
                days.keep_restated(day);
                continue;
            };
            for now in again {
                let same = |c: &Cohort| (c.date, c.epoch, c.variant) == (now.date, now.epoch, now.variant);
                let Some((known, checksum)) = cohorts.iter_mut().find(|(known, _)| same(known)) else { continue };
                if *checksum != now.checksum() {
                    *checksum = now.checksum();
                    *known = now.clone();
                    differing.push(now);
                }
            }
        }
        if mode != Mode::Plan && !differing.is_empty() {
            self.control.restate_cohorts(record.experiment.id, set, &differing, self.now).await?;
        }
        Ok(differing.len())
    }

    /// What a restatement would have meant for the last night's decisions.
    pub(super) async fn restatement(
        &self,
        record: &ExperimentRecord,
        cohorts: &[Cohort],
        days: &Days<'_>,
        count: usize,
    ) -> Result<Option<Restatement>, NightError> {
        if count == 0 {
            return Ok(None);
        }
        let mut would_have_been = Vec::new();
        for (id, stored) in self.last_decisions(record).await? {
            let Some(recalled) = recall(self.control, stored).await? else { continue };
            let Some(variant) = record.experiment.variant_by_id(id) else { continue };
            let known_now = closed_by(cohorts, &recalled.rules.metrics, recalled.stored.as_of);
            let mut comparison = recalled.comparison();
            comparison.cohorts = &known_now;
            let now = recalled.decide_on(&assess(&comparison));
            would_have_been.push(WouldHaveBeen {
                candidate: variant.name.clone(),
                decision: recalled.stored.id,
                was: recalled.stored.decision.outcome.clone(),
                would_be: now.outcome,
            });
        }
        let days = days.restated().iter().map(RestatedDay::told).collect();
        Ok(Some(Restatement { days, cohorts: count, would_have_been }))
    }

    /// The last decision of each candidate that an earlier night decided.
    async fn last_decisions(
        &self,
        record: &ExperimentRecord,
    ) -> Result<BTreeMap<crate::domain::VariantId, StoredDecision>, NightError> {
        let mut found = BTreeMap::new();
        let nights = record.last_decisions.values().map(|last| last.as_of).max();
        let wanted = Wanted { experiment: Some(record.experiment.id), as_of: nights, ..Wanted::default() };
        if nights.is_some() {
            for stored in self.control.decisions(wanted, 1000).await? {
                // Later revisions come later in the chain.
                found.insert(stored.candidate, stored);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::{Measure, Metric, Value};

    #[test]
    fn a_day_touches_whoever_has_it_in_a_window_or_before_exposure() {
        let value = || Measure { event: "e".into(), value: Value::Count };
        let set = |covariate_days| {
            MetricSet::group([&Metric { window_days: 2, covariate_days, ..Metric::of_units("m", value()) }]).remove(0)
        };
        let (first, last) = (date(2026, 3, 1), date(2026, 3, 20));
        let touched =
            |days, day: i8| touched_by(date(2026, 3, day), &set(days), first, last).map(|(a, b)| (a.day(), b.day()));
        assert_eq!(touched(None, 5), Some((3, 5)));
        assert_eq!(touched(Some(7), 5), Some((3, 12)));
        assert_eq!(touched(Some(7), 18), Some((16, 20)));
        // A day before the first cohort is in nobody's window, and in the past of some.
        let eve = date(2026, 2, 26);
        assert_eq!(touched_by(eve, &set(None), first, last), None);
        assert_eq!(touched_by(eve, &set(Some(7)), first, last), Some((first, date(2026, 3, 5))));
    }
}
