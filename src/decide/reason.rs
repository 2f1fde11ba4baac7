//! Why: one value per reason, and the one sentence that record, mail and output share.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::{Bound, Direction, ExperimentStatus, Share};
use crate::evidence::{DayState, Interval, Reading, Scale, Verdict};

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
        }
    }
}

/// Why a decision is what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Harm is proven over all guardrails and nights.
    HarmShown {
        /// The guardrails that carry the proof, worst first.
        findings: Vec<Finding>,
        /// ln of the average e-value.
        log_e: f64,
        /// ln of what it takes.
        log_needed: f64,
    },
    /// The split was mismatched while harm was proven; the rollback happens all the same.
    HarmDespiteMismatch,
    /// Harm is proven, but it is smaller than what is rolled back.
    HarmInsideMargin {
        /// The worst guardrail that carries the proof.
        finding: Finding,
    },
    /// Candidate and control both break an absolute limit: an incident, not the candidate's harm.
    LimitBrokenByBoth {
        /// The guardrail.
        finding: Finding,
    },
    /// There is evidence of harm, not enough for a rollback and too much for a ramp.
    HarmSuspected {
        /// The worst guardrails.
        findings: Vec<Finding>,
        /// ln of the average e-value.
        log_e: f64,
    },
    /// Harm is proven, the split is mismatched, and the policy wants a hold then.
    HarmHeldForMismatch,
    /// The experiment is not running.
    NotActive {
        /// Its status.
        status: ExperimentStatus,
    },
    /// The experiment's own configuration is at fault.
    Misconfigured {
        /// What is wrong.
        what: String,
    },
    /// Units did not split as planned.
    SampleRatioMismatch {
        /// The candidate's units.
        candidate_units: u64,
        /// What the plan would have given it.
        planned: f64,
        /// ln of the e-value against the planned split.
        log_e: f64,
        /// The fixed-look p-value beside it.
        chi_square_p: Option<f64>,
    },
    /// Too many units were seen in two arms.
    MultipleExposure {
        /// Their share.
        share: f64,
        /// The share that is borne.
        borne: f64,
    },
    /// A metric's field holds something other than numbers.
    NotNumbers {
        /// How many values.
        count: u64,
        /// Of how many events.
        events: u64,
    },
    /// The candidate has no share of the units.
    NoTraffic,
    /// A day's events are missing or incomplete, so tonight is no look.
    Stale {
        /// The day.
        date: Date,
        /// What is wrong with it.
        state: DayState,
    },
    /// The warehouse could not answer, so tonight is no look.
    QueryFailed {
        /// The error, with its causes.
        why: String,
    },
    /// A metric was not measured in a single unit.
    NoData {
        /// The metric.
        metric: String,
    },
    /// The stage has not lasted long enough.
    TooSoon {
        /// Full days so far.
        days: i64,
        /// Full days needed.
        needed: u32,
        /// The stage's share.
        stage: Share,
    },
    /// Too few units in closed cohorts.
    TooFewUnits {
        /// Units in control.
        control: u64,
        /// Units in the candidate.
        candidate: u64,
        /// Units needed per arm.
        needed: u64,
    },
    /// Guardrails whose point estimate is outside the margin, although it is precise enough to tell.
    EstimateOutsideMargin {
        /// The guardrails.
        findings: Vec<Finding>,
    },
    /// Guardrails not yet shown safe.
    NotShownSafe {
        /// The guardrails.
        findings: Vec<Finding>,
    },
    /// The planned looks at promotion have not begun.
    BeforeFirstLook {
        /// Tonight, counted from the experiment's first day.
        night: u32,
        /// The night of the first look.
        first: u32,
    },
    /// The planned looks at promotion are over, and no error rate is left for another.
    DeadlinePassed {
        /// The last night that was planned.
        max_nights: u32,
    },
    /// Success metrics not yet shown.
    NotShownBetter {
        /// The success metrics.
        findings: Vec<Finding>,
    },
    /// The next stage would leave control too small.
    NoRoom {
        /// Control's share now.
        control: Share,
        /// What the ramp would take from it.
        wanted: Share,
        /// What control must keep.
        keep: Share,
    },
    /// A sibling is promoted tonight.
    SiblingPromoted {
        /// Its name.
        sibling: String,
    },
    /// The stage was passed: long enough, units enough, no harm.
    StagePassed {
        /// Full days in it.
        days: i64,
        /// Units in control.
        control_units: u64,
        /// Units in the candidate.
        candidate_units: u64,
    },
    /// Every guardrail and what promotion wants of the success metrics was shown.
    ShownSafe {
        /// The guardrails.
        guardrails: Vec<Finding>,
        /// Full days in the last stage.
        days: i64,
    },
}

impl Reason {
    /// Whether the run could not evaluate the experiment as configured, which its exit code tells.
    pub fn is_failure(&self) -> bool {
        matches!(self, Reason::Misconfigured { .. } | Reason::QueryFailed { .. } | Reason::NotNumbers { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: f64| match self.scale {
            Scale::Lift => Percent(value).to_string(),
            Scale::Value => Rounded(value).to_string(),
        };
        write!(f, "{}: ", self.metric)?;
        match self.effect {
            Some(effect) => f.write_str(&show(effect))?,
            None => f.write_str("no estimate")?,
        }
        if let Some(interval) = self.interval {
            write!(f, " [{}, {}]", show(interval.low), show(interval.high))?;
        }
        match (self.bound, self.direction) {
            (Bound::Margin(margin), Direction::Increase) => write!(f, ", margin −{} %", Rounded(100.0 * margin.get()))?,
            (Bound::Margin(margin), Direction::Decrease) => write!(f, ", margin +{} %", Rounded(100.0 * margin.get()))?,
            (Bound::Ceiling(limit), _) => write!(f, ", ceiling {}", Rounded(limit))?,
            (Bound::Floor(limit), _) => write!(f, ", floor {}", Rounded(limit))?,
        }
        if let Some(why) = &self.insufficient {
            write!(f, " ({why})")?;
        }
        Ok(())
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
        f.write_str(text)
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

fn list(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::HarmShown { findings, log_e, log_needed } => {
                let needed = EValue(*log_needed);
                write!(f, "harm shown: {} (average e-value {}, needed {needed})", list(findings), EValue(*log_e))
            }
            Reason::HarmDespiteMismatch => f.write_str("the split was mismatched too, but lowering is the safe side"),
            Reason::HarmInsideMargin { finding } => {
                write!(f, "harm shown, but smaller than what is rolled back: {finding}")
            }
            Reason::LimitBrokenByBoth { finding } => {
                write!(
                    f,
                    "control breaks the same limit, so this is an incident and not the candidate's harm: {finding}"
                )
            }
            Reason::HarmSuspected { findings, log_e } => {
                write!(f, "harm is suspected: {} (average e-value {})", list(findings), EValue(*log_e))
            }
            Reason::HarmHeldForMismatch => {
                f.write_str("harm shown, but the split is mismatched and the policy then holds")
            }
            Reason::NotActive { status } => write!(f, "the experiment is {}", status.as_str()),
            Reason::Misconfigured { what } => write!(f, "misconfigured: {what}"),
            Reason::SampleRatioMismatch { candidate_units, planned, log_e, chi_square_p } => {
                write!(
                    f,
                    "sample ratio mismatch: {candidate_units} candidate units where the plan gives {planned:.0}"
                )?;
                write!(f, " (e-value {}", EValue(*log_e))?;
                match chi_square_p {
                    Some(p) => write!(f, ", chi-square p {p:.1e})"),
                    None => f.write_str(")"),
                }
            }
            Reason::MultipleExposure { share, borne } => {
                let (share, borne) = (Rounded(100.0 * share), Rounded(100.0 * borne));
                write!(f, "{share} % of the units were seen in two arms, {borne} % are borne")
            }
            Reason::NotNumbers { count, events } => {
                write!(
                    f,
                    "{count} values in {events} events are not numbers where a metric wants them; mend the field's name or the events to come"
                )
            }
            Reason::NoTraffic => f.write_str("its allocation is 0; give it a share of the units to have it judged"),
            Reason::Stale { date, state } => write!(f, "stale: the events of {date} are {state}"),
            Reason::QueryFailed { why } => write!(f, "the warehouse could not answer: {why}"),
            Reason::NoData { metric } => write!(f, "no data: {metric} was not measured in a single unit"),
            Reason::TooSoon { days, needed, stage } => {
                write!(f, "too soon: {days} of {needed} full days at {stage}")
            }
            Reason::TooFewUnits { control, candidate, needed } => {
                write!(f, "too few units: control {control}, candidate {candidate}, needed {needed} each")
            }
            Reason::EstimateOutsideMargin { findings } => write!(f, "estimated outside the margin: {}", list(findings)),
            Reason::NotShownSafe { findings } => write!(f, "not yet shown safe: {}", list(findings)),
            Reason::BeforeFirstLook { night, first } => {
                write!(f, "too early to promote: night {night}, and the planned looks begin with night {first}")
            }
            Reason::DeadlinePassed { max_nights } => {
                write!(
                    f,
                    "the {max_nights} planned nights are over without a promotion; end the experiment, or begin a new one"
                )
            }
            Reason::NotShownBetter { findings } => write!(f, "not yet shown: {}", list(findings)),
            Reason::NoRoom { control, wanted, keep } => {
                write!(f, "no room: control has {control}, the ramp wants {wanted} of it, and {keep} must stay")
            }
            Reason::SiblingPromoted { sibling } => write!(f, "{sibling} is promoted tonight, and only one can be"),
            Reason::StagePassed { days, control_units, candidate_units } => {
                write!(f, "stage passed: {days} full days, {control_units} and {candidate_units} units, no harm")
            }
            Reason::ShownSafe { guardrails, days } => {
                write!(f, "shown safe after {days} full days at the last stage: {}", list(guardrails))
            }
        }
    }
}
