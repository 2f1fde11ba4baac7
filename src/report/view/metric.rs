//! One metric of one candidate as a row of a table.

use serde::Serialize;

use super::line::Bar;
use super::{Tone, plain};
use crate::decide::{EValue, Percent, Rounded};
use crate::domain::{Bound, Direction};
use crate::evidence::{Adjustment, Covariate, Reading, Scale, Verdict};
use crate::report::words::Words;

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricRow {
    /// Its name.
    pub name: String,
    /// Whether it is a success metric and no guardrail.
    pub success: bool,
    /// Control's value.
    pub control: String,
    /// The candidate's value.
    pub candidate: String,
    /// The lift, or the value where a limit is absolute.
    pub effect: String,
    /// What no night's test has ruled out.
    pub interval: String,
    /// What it must stay clear of: `+10 %`, `≤ 0.01`.
    pub bound: String,
    /// The verdict's word.
    pub verdict: String,
    /// Why there is no verdict, where there is none.
    pub missing: Option<String>,
    /// What its covariate did for it, where it has one and was looked at.
    pub adjusted: Option<String>,
    /// What the verdict means.
    pub tone: Tone,
    /// The e-value of harm.
    pub e_value: String,
    /// The lift as a bar.
    pub bar: Option<Bar>,
}

/// An effect as its scale writes it.
pub(in crate::report) fn effect_of(scale: Scale, effect: f64) -> String {
    match scale {
        Scale::Lift => Percent(effect).to_string(),
        Scale::Value => Rounded(effect).to_string(),
    }
}

/// The bound as a lift or a value.
pub(in crate::report) fn bound_of(bound: Bound, direction: Direction) -> String {
    match (bound, direction) {
        (Bound::Margin(margin), Direction::Increase) => format!("−{} %", Rounded(100.0 * margin.get())),
        (Bound::Margin(margin), Direction::Decrease) => format!("+{} %", Rounded(100.0 * margin.get())),
        (Bound::Ceiling(limit), _) => format!("≤ {}", Rounded(limit)),
        (Bound::Floor(limit), _) => format!("≥ {}", Rounded(limit)),
    }
}

pub(super) fn tone_of(verdict: &Verdict) -> Tone {
    match verdict {
        Verdict::Breach | Verdict::Harm => Tone::Bad,
        Verdict::Safe | Verdict::Better => Tone::Good,
        Verdict::Inconclusive | Verdict::NoData | Verdict::Insufficient { .. } => Tone::Open,
    }
}

/// What an unbounded side looks like.
fn end_of(scale: Scale, end: f64) -> String {
    match end {
        end if end == f64::INFINITY => "∞".to_owned(),
        end if end == f64::NEG_INFINITY => "−∞".to_owned(),
        end => effect_of(scale, end),
    }
}

/// What a covariate did; nothing while it waits for the first look.
fn adjusted(covariate: &Covariate, words: &Words) -> Option<String> {
    let days = u64::from(covariate.days);
    let filled = |key: &str, saved: f64| {
        let saved = format!("{} %", Rounded(100.0 * saved));
        Some(words.render(key, Some(days), &[("n", &days), ("saved", &saved)]))
    };
    match &covariate.adjustment {
        Adjustment::Waiting => None,
        Adjustment::Made { saved, .. } if *saved >= 0.0 => filled("adjusted", *saved),
        Adjustment::Made { saved, .. } => filled("adjusted_in_vain", -saved),
        Adjustment::NotMade { why } => Some(words.fill("not_adjusted", &[("why", &plain(&why.to_string()))])),
    }
}

impl MetricRow {
    /// The row of a reading.
    pub fn of(reading: &Reading, success: bool, words: &Words) -> MetricRow {
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |v| Rounded(v).to_string());
        let interval = reading.interval.map(|i| {
            let (low, high) = (end_of(reading.scale, i.low), end_of(reading.scale, i.high));
            // Both ends have the same unit, which is told once.
            let low = match (low.strip_suffix(" %"), high.ends_with(" %")) {
                (Some(number), true) => number.to_owned(),
                _ => low,
            };
            words.fill("interval", &[("low", &low), ("high", &high)])
        });
        MetricRow {
            name: plain(&reading.metric),
            success,
            control: value(reading.control),
            candidate: value(reading.candidate),
            effect: reading.effect.map_or("–".to_owned(), |effect| effect_of(reading.scale, effect)),
            interval: interval.unwrap_or_else(|| "–".to_owned()),
            bound: bound_of(reading.bound, reading.direction),
            verdict: reading.verdict.word().to_owned(),
            missing: match &reading.verdict {
                Verdict::Insufficient { why } => Some(why.to_string()),
                Verdict::Breach
                | Verdict::Harm
                | Verdict::Safe
                | Verdict::Better
                | Verdict::Inconclusive
                | Verdict::NoData => None,
            },
            adjusted: reading.covariate.as_ref().and_then(|covariate| adjusted(covariate, words)),
            tone: tone_of(&reading.verdict),
            e_value: words.fill("e_value", &[("e", &EValue(reading.log_e_harm))]),
            bar: Bar::of(reading),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Unadjusted, Useless};

    #[test]
    fn a_covariate_is_told_in_one_phrase() {
        let unadjusted =
            Unadjusted { control: None, candidate: None, effect: None, standard_error: None, interval: None };
        let made = |saved| Adjustment::Made { theta: 0.7, saved, unadjusted };
        let told = |days, adjustment| adjusted(&Covariate { days, adjustment }, &Words::built_in());
        assert_eq!(
            told(14, made(0.434)).as_deref(),
            Some("adjusted by the 14 days before exposure: 43.4 % less variance")
        );
        assert_eq!(told(1, made(0.5)).as_deref(), Some("adjusted by the day before exposure: 50 % less variance"));
        assert_eq!(told(7, made(-0.02)).as_deref(), Some("adjusted by the 7 days before exposure: 2 % more variance"));
        assert_eq!(told(7, Adjustment::Waiting), None);
        let weak = Adjustment::NotMade { why: Useless::Weak { explained: 0.004 } };
        assert_eq!(
            told(7, weak).as_deref(),
            Some("not adjusted: what units did before explains 0.4 % of it, and less than 1 % is of no use")
        );
    }
}
