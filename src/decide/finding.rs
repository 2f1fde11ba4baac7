//! One metric's numbers as reasons tell them, and how numbers are written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{Bound, Direction};
use crate::evidence::{Interval, Reading, Scale, Verdict};

/// One metric's numbers inside a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The metric.
    pub metric: String,
    /// Its bound.
    pub bound: Bound,
    /// Which way it should go.
    pub direction: Direction,
    /// Whether the numbers are lifts or values.
    pub scale: Scale,
    /// The point estimate.
    pub effect: Option<f64>,
    /// What no night's test has ruled out.
    pub interval: Option<Interval>,
    /// The verdict's word.
    pub verdict: String,
    /// Why there is no verdict, where there is none.
    pub insufficient: Option<String>,
    /// Whether it is to be shown better than control, and the bound is only what the test is tuned to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superior: bool,
}

impl From<&Reading> for Finding {
    fn from(reading: &Reading) -> Finding {
        Finding {
            metric: reading.metric.clone(),
            bound: reading.bound,
            direction: reading.direction,
            scale: reading.scale,
            effect: reading.effect,
            interval: reading.interval,
            verdict: reading.verdict.word().to_owned(),
            insufficient: match &reading.verdict {
                Verdict::Insufficient { why } => Some(why.to_string()),
                _ => None,
            },
            superior: false,
        }
    }
}

impl Finding {
    /// The estimate with its interval: `+12.4 % [+10.2 %, +14.7 %]`.
    pub fn measured(&self) -> String {
        let show = |value: f64| match self.scale {
            Scale::Lift => Percent(value).to_string(),
            Scale::Value => Rounded(value).to_string(),
        };
        let mut told = self.effect.map_or("no estimate".to_owned(), show);
        if let Some(interval) = self.interval {
            told.push_str(&format!(" [{}, {}]", show(interval.low), show(interval.high)));
        }
        told
    }

    /// What it must stay clear of: `margin +10 %`, `ceiling 0.01`.
    pub fn limit(&self) -> String {
        match (self.bound, self.direction) {
            _ if self.superior => "to be better than control".to_owned(),
            (Bound::Margin(margin), Direction::Increase) => format!("margin −{} %", Rounded(100.0 * margin.get())),
            (Bound::Margin(margin), Direction::Decrease) => format!("margin +{} %", Rounded(100.0 * margin.get())),
            (Bound::Ceiling(limit), _) => format!("ceiling {}", Rounded(limit)),
            (Bound::Floor(limit), _) => format!("floor {}", Rounded(limit)),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.metric, self.measured(), self.limit())?;
        match &self.insufficient {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

/// A lift in percent with its sign: `+12.4 %`, `−3.0 %`.
pub(crate) struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.0;
        // No sign in front of what rounds to nothing.
        if percent.abs() < 0.05 {
            f.write_str("0.0 %")
        } else {
            f.write_str(&format!("{percent:+.1} %").replace('-', "−"))
        }
    }
}

/// A number at four significant digits, without trailing zeros.
pub(crate) struct Rounded(pub f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() || value == 0.0 {
            return write!(f, "{value}");
        }
        let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
        let text = format!("{value:.digits$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        f.write_str(&text.replace('-', "−"))
    }
}

/// An e-value told by its logarithm: `153`, or `10^24` where that is long.
pub(crate) struct EValue(pub f64);

impl fmt::Display for EValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log10 = self.0 / std::f64::consts::LN_10;
        if log10 >= 5.0 { write!(f, "10^{log10:.0}") } else { write!(f, "{}", Rounded(self.0.exp())) }
    }
}
