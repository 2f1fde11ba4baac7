//! From the rows of an answer to the cohorts of each request.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::question::{Question, Trial};
use crate::warehouse::cohort_rows::{CohortRow, Moments};
use crate::warehouse::error::WarehouseError;
use crate::warehouse::instants::date_of;
use crate::warehouse::needs::MetricNeed;
use crate::warehouse::sql::{Rest, Row, Share};

/// The columns before the counts of events.
const KEYS: usize = 6;

/// Numbers from here on stand for variants that nobody knows.
const UNKNOWN: i64 = 2_048;

/// What a slot's column triple says of the units of a row.
#[derive(Clone, Copy)]
struct Centre {
    mean: f64,
    /// Σ(x - mean), which is not quite 0.
    left: f64,
    /// Σ(x - mean)².
    squares: f64,
}

/// Cohort date, epoch and variant, each with what is known of it.
type Shares = BTreeMap<(Date, i64, String), Share>;

/// The rows of each trial; none of one with a variant that is not among the experiment's, which its own query can name.
pub(super) fn cohorts(
    question: &Question<'_>,
    rows: &[Row],
    doing: &str,
) -> Result<Vec<Option<Vec<CohortRow>>>, WarehouseError> {
    let mut found: Vec<Option<Shares>> = question.trials.iter().map(|_| Some(Shares::new())).collect();
    let width =
        KEYS + question.events.len() + 2 * question.readings.len() + 3 * question.slots.len() + question.products.len();
    for row in rows {
        if row.len() != width {
            let source = format!("the server answered a row of {} columns where {width} belong", row.len()).into();
            return Err(WarehouseError::Query { doing: doing.to_owned(), source });
        }
        let key = |place: usize| row[place].count(doing);
        let (number, day, part, variant) = (key(0)?, key(1)?, key(2)?, key(3)?);
        // A shard that has no unit of the cohorts answers with a row of nothing.
        let Some(place) = usize::try_from(number - 1).ok().filter(|place| *place < question.trials.len()) else {
            continue;
        };
        let trial = &question.trials[place];
        let begin = usize::try_from(part).ok().and_then(|part| question.begin_of(day, part));
        // Other trials have cohorts on days, and in parts of days, where this one has none.
        let Some((begin, epoch)) = begin.and_then(|begin| Some((begin, trial.needs.epoch_at(begin)?))) else {
            continue;
        };
        let known = usize::try_from(variant - 1).ok().and_then(|place| question.variants.get(place));
        let Some(known) = known.filter(|key| variant < UNKNOWN && trial.needs.variants.contains(key)) else {
            found[place] = None;
            continue;
        };
        let (Some(shares), Some(date)) = (&mut found[place], date_of(begin)) else { continue };
        let key = (date, epoch, known.to_string());
        let share = share(question, trial, row, key.clone(), doing)?;
        match shares.get_mut(&key) {
            Some(known) => known.join(&share),
            None => {
                shares.insert(key, share);
            }
        }
    }
    let rows = |shares: BTreeMap<_, Share>| shares.into_values().map(|share| share.row).collect();
    Ok(found.into_iter().map(|shares| shares.map(rows)).collect())
}

fn share(
    question: &Question<'_>,
    trial: &Trial<'_>,
    row: &Row,
    (cohort_date, epoch, variant_id): (Date, i64, String),
    doing: &str,
) -> Result<Share, WarehouseError> {
    let readings_from = KEYS + question.events.len();
    let sums_from = readings_from + 2 * question.readings.len();
    let products_from = sums_from + 3 * question.slots.len();
    let count = |place: usize| row[place].count(doing);
    let total = |places: &[usize], at: &dyn Fn(usize) -> usize| {
        places.iter().try_fold(0, |sum, place| Ok::<_, WarehouseError>(sum + count(at(*place))?))
    };
    let number = |place: usize| row[place].float();
    let units = count(4)?;
    let n = units as f64;
    let centre = |slot: usize| {
        let at = sums_from + 3 * slot;
        Centre { mean: number(at), left: number(at + 1), squares: number(at + 2) }
    };
    let of_metric = |metric: &MetricNeed| {
        let y = trial.sums[metric.numerator];
        let of_y = centre(y);
        let (mean_y, rest_y) = of_y.mean_and_rest(n);
        let mut moments = Moments { mean_y, m2_y: of_y.about_mean(n), mean_d: 1.0, m2_d: 0.0, c_yd: 0.0 };
        let mut rest = Rest { y: rest_y, d: 0.0 };
        if let Some(d) = metric.denominator.map(|sum| trial.sums[sum]) {
            let of_d = centre(d);
            let place = question.products.iter().position(|pair| *pair == (y, d));
            let product = place.map_or(f64::NAN, |place| number(products_from + place));
            (moments.mean_d, rest.d) = of_d.mean_and_rest(n);
            moments.m2_d = of_d.about_mean(n);
            moments.c_yd = product - of_y.left * of_d.left / n;
        }
        (moments, rest)
    };
    let nothing = || (Moments { mean_y: 0.0, m2_y: 0.0, mean_d: 0.0, m2_d: 0.0, c_yd: 0.0 }, Rest::default());
    let metrics = trial.needs.metrics.iter();
    let (moments, rests) = metrics.map(|metric| if units == 0 { nothing() } else { of_metric(metric) }).unzip();
    let row = CohortRow {
        cohort_date,
        epoch,
        variant_id,
        units,
        events: total(&trial.events, &|place| KEYS + place)?,
        missing: total(&trial.readings, &|place| readings_from + 2 * place)?,
        not_numbers: total(&trial.readings, &|place| readings_from + 2 * place + 1)?,
        multiple_exposed: count(5)?,
        moments,
    };
    Ok(Share { row, rests })
}

impl Centre {
    /// The mean, and what rounding took from it.
    fn mean_and_rest(self, n: f64) -> (f64, f64) {
        let more = self.left / n;
        let mean = self.mean + more;
        (mean, more - (mean - self.mean))
    }

    /// Σ(x-x̄)²: what rounding leaves of the deviations is taken out again (Chan, Golub & LeVeque 1983, eq. 1.7).
    fn about_mean(self, n: f64) -> f64 {
        let squares = self.squares - self.left * self.left / n;
        // NaN stays NaN.
        if squares < 0.0 { 0.0 } else { squares }
    }
}
