//! Covariates: the same sums over the days before a unit's first exposure, from which the part of a metric is known that
//! has nothing to do with the candidate (statistics.md 1.7).
//!
//! A warehouse knows means and ratios, and the five moments of two sums tell how these move together. So a metric with a
//! covariate is read as itself and some companions, pairs of sums of which the later ones lie before exposure. They are
//! stored beside it and are nobody's metric.

use super::metric::{Measure, Metric, MetricForm};

/// Stands in the names of companions, and in no metric's name.
pub const COMPANION: char = '¦';

/// Which two sums of a metric a companion has: y and d above and below its line, x and m the same before exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Companion {
    /// y and x.
    YX,
    /// y and m.
    YM,
    /// d and x.
    DX,
    /// d and m.
    DM,
    /// x and m.
    XM,
}

impl Companion {
    const ALL: [Companion; 5] = [Companion::YX, Companion::YM, Companion::DX, Companion::DM, Companion::XM];

    /// The name under which its moments are kept.
    pub fn of(self, metric: &str) -> String {
        let sums = match self {
            Companion::YX => "yx",
            Companion::YM => "ym",
            Companion::DX => "dx",
            Companion::DM => "dm",
            Companion::XM => "xm",
        };
        format!("{metric}{COMPANION}{sums}")
    }

    /// Those whose first sum is the one above the metric's line.
    pub fn with_numerator(metric: &str) -> [String; 2] {
        [Companion::YX, Companion::YM].map(|companion| companion.of(metric))
    }

    /// Its two sums, and whether both lie before exposure; none where there is no line, and so neither d nor m.
    fn sums<'a>(self, y: &'a Measure, d: Option<&'a Measure>) -> Option<(&'a Measure, &'a Measure, bool)> {
        Some(match self {
            Companion::YX => (y, y, false),
            Companion::YM => (y, d?, false),
            Companion::DX => (d?, y, false),
            Companion::DM => (d?, d?, false),
            Companion::XM => (y, d?, true),
        })
    }
}

impl Metric {
    /// What has to be read beside the metric for its covariate; nothing without one.
    pub fn companions(&self) -> Vec<Metric> {
        let (Some(days), Some(y)) = (self.covariate_days, self.numerator()) else { return Vec::new() };
        let pair = |companion: Companion| {
            let (numerator, denominator, both_before) = companion.sums(y, self.denominator())?;
            let (numerator, denominator) = (numerator.clone(), denominator.clone());
            Some(Metric {
                name: companion.of(&self.name),
                description: None,
                form: MetricForm::Pair { numerator, denominator, days, both_before },
                covariate_days: None,
                ..*self
            })
        };
        Companion::ALL.into_iter().filter_map(pair).collect()
    }

    /// How many days before first exposure it reads events of, where it reads any.
    pub fn days_before(&self) -> Option<u16> {
        match self.form {
            MetricForm::Pair { days, .. } => Some(days),
            MetricForm::Mean { .. } | MetricForm::Ratio { .. } | MetricForm::Aggregate(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Value};

    fn count(event: &str) -> Measure {
        Measure { event: event.to_owned(), value: Value::Count }
    }

    fn metric(form: MetricForm, covariate_days: Option<u16>) -> Metric {
        let direction = Direction::Increase;
        Metric { name: "m".to_owned(), description: None, form, direction, window_days: 2, covariate_days }
    }

    #[test]
    fn a_mean_has_one_companion_and_a_ratio_five() {
        let mean = metric(MetricForm::Mean { value: count("a") }, Some(14));
        let [companion] = &mean.companions()[..] else { panic!("one") };
        assert_eq!(companion.name, "m¦yx");
        assert_eq!(
            (companion.counts_before(), companion.days_before(), companion.window_days),
            ((false, true), Some(14), 2)
        );
        let ratio = metric(MetricForm::Ratio { numerator: count("a"), denominator: count("b") }, Some(7));
        let companions = ratio.companions();
        let told: Vec<_> = companions
            .iter()
            .map(|c| {
                let (above, below) = (c.numerator().unwrap(), c.denominator().unwrap());
                (c.name.as_str(), above.event.as_str(), below.event.as_str(), c.counts_before().0)
            })
            .collect();
        let expected = [
            ("m¦yx", "a", "a", false),
            ("m¦ym", "a", "b", false),
            ("m¦dx", "b", "a", false),
            ("m¦dm", "b", "b", false),
            ("m¦xm", "a", "b", true),
        ];
        assert_eq!(told, expected);
        assert_eq!(metric(MetricForm::Mean { value: count("a") }, None).companions(), []);
    }
}
