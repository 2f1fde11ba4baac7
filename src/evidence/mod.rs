//! From warehouse frames to verdicts: cohorts, strata, effects with their bounds, and the health of the data.
//!
//! Everything here is a pure function. It knows no warehouse, no database and no decision; the same cohorts give the
//! same assessment a year later.

mod adjust;
mod altered;
mod arms;
mod assess;
mod by_metric;
mod cohort;
mod frame;
mod health;
mod independence;
mod look;
mod outlook;
mod percentiles;
mod reading;
mod silence;
mod split;

pub use adjust::{Adjustment, Covariate, Unadjusted, Useless};
pub use altered::{continued, enlarged, scaled};
pub use assess::{Assessment, Comparison, MIN_STRATUM_UNITS, Standards, assess, assess_by, closed_by, standards};
pub use by_metric::{ByMetric, MetricNames};
pub use cohort::{Cohort, CohortHealth, MetricSet, closable_through};
pub use frame::{FrameError, cohorts_from_frames};
pub use health::{Day, DayState, judge_day};
pub use independence::{EventLevel, FromEvents};
pub use look::{PromotionLook, promotion_bounds};
pub use outlook::{Outlook, nights_after};
pub use percentiles::{Percentile, PercentileReading, percentiles};
pub use reading::{Judged, Reading, Scale, Seen, Verdict};
pub use silence::{Vanished, vanished};
pub use split::SplitReading;

// Parts of readings and cohorts, so that whoever reads one needs no word of statistics.
pub use crate::stats::{Insufficient, Interval, Moments};
