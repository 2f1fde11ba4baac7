//! Which pictures a candidate's card shows, as data that can wait in the journal until the mail is sent: a picture's numbers
//! weigh a tenth of its dots, and give the same dots whenever they are drawn.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use std::collections::BTreeMap;

use super::night::CandidateReport;
use super::view::plain;
use crate::chart::{
    Act, ChartError, Crossing, DecidedBy, Forest, ForestRow, Night, Picture, Ramp, RampNight, Scale, Sketch, Split,
    SplitRow, Tone, Trajectory,
};
use crate::decide::{Decision, Outcome, Reason};
use crate::domain::{Bound, Share};
use crate::evidence::{Assessment, Reading, Verdict};

/// The nights before, by the key of tonight's decision.
pub type Pasts = BTreeMap<Uuid, Past>;

/// What the nights before said of one candidate, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// The nights.
    pub nights: Vec<PastNight>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct PastNight {
    /// The as-of date.
    pub as_of: Date,
    /// The candidate's share when it was decided.
    pub share: Share,
    /// What was decided.
    pub decision: Decision,
    /// What the evidence showed.
    pub assessment: Assessment,
}

/// A picture that is not drawn yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "chart", rename_all = "snake_case")]
pub enum Chart {
    /// Tonight's intervals.
    Forest(Forest),
    /// One metric, night by night.
    Trajectory(Trajectory),
    /// The share over time.
    Ramp(Ramp),
    /// How units split.
    Split(Split),
}

impl Chart {
    /// Its words and its size.
    pub fn sketch(&self) -> Sketch {
        match self {
            Chart::Forest(chart) => chart.sketch(),
            Chart::Trajectory(chart) => chart.sketch(),
            Chart::Ramp(chart) => chart.sketch(),
            Chart::Split(chart) => chart.sketch(),
        }
    }

    /// Draws it.
    ///
    /// # Errors
    /// Only if the rasteriser fails, which no data make it do.
    pub fn draw(&self) -> Result<Picture, ChartError> {
        match self {
            Chart::Forest(chart) => chart.draw(),
            Chart::Trajectory(chart) => chart.draw(),
            Chart::Ramp(chart) => chart.draw(),
            Chart::Split(chart) => chart.draw(),
        }
    }

    /// Its kind in names.
    pub fn kind(&self) -> &'static str {
        match self {
            Chart::Forest(_) => "forest",
            Chart::Trajectory(_) => "trajectory",
            Chart::Ramp(_) => "ramp",
            Chart::Split(_) => "split",
        }
    }
}

/// The pictures of one candidate tonight. Where units did not split as planned no effect can be believed, so the split
/// comes instead of them.
pub fn pictures_of(candidate: &CandidateReport, as_of: Date, past: Option<&Past>) -> Vec<Chart> {
    let nights = nights(candidate, as_of, past);
    // A share that stays is told in words.
    let moves = candidate.decision.outcome != Outcome::Hold;
    let ramp = (moves && nights.len() > 1).then(|| Chart::Ramp(ramp_of(candidate, &nights)));
    if candidate.assessment.split.as_ref().is_some_and(|split| split.mismatch) {
        return split_of(candidate, &nights).map(Chart::Split).into_iter().chain(ramp).collect();
    }
    let measured = |reading: &&Reading| reading.effect.is_some() || reading.interval.is_some();
    let readings = || candidate.assessment.guardrails.iter().chain(&candidate.assessment.success);
    let forest = readings().any(|reading| measured(&reading)).then(|| Chart::Forest(forest_of(candidate, as_of)));
    let deciding = deciding(candidate).filter(measured).filter(|_| nights.len() > 1);
    let trajectory = deciding.map(|reading| Chart::Trajectory(trajectory_of(candidate, reading, &nights)));
    forest.into_iter().chain(trajectory).chain(ramp).collect()
}

/// The nights before and tonight.
fn nights(candidate: &CandidateReport, as_of: Date, past: Option<&Past>) -> Vec<PastNight> {
    let before = past.into_iter().flat_map(|past| &past.nights).filter(|night| night.as_of < as_of).cloned();
    let tonight = PastNight {
        as_of,
        share: candidate.share,
        decision: candidate.decision.clone(),
        assessment: candidate.assessment.clone(),
    };
    before.chain([tonight]).collect()
}

/// The metric that the decision turned on, or the most telling one.
pub(super) fn deciding(candidate: &CandidateReport) -> Option<&Reading> {
    named_by_reasons(candidate).or_else(|| super::view::leading(candidate))
}

/// The metric that the reasons name first.
pub(super) fn named_by_reasons(candidate: &CandidateReport) -> Option<&Reading> {
    let named = candidate.decision.reasons.iter().find_map(|reason| match reason {
        Reason::HarmShown { findings, .. }
        | Reason::HarmSuspected { findings, .. }
        | Reason::HarmToTell { findings }
        | Reason::EstimateOutsideMargin { findings }
        | Reason::NotShownSafe { findings }
        | Reason::NotShownBetter { findings } => findings.first().map(|finding| &finding.metric),
        Reason::ShownSafe { guardrails, success, .. } | Reason::ShownSafeAtDeadline { guardrails, success } => {
            success.first().or(guardrails.first()).map(|finding| &finding.metric)
        }
        Reason::HarmInsideMargin { finding }
        | Reason::LimitBrokenByBoth { finding }
        | Reason::RiskOverBudget { finding, .. } => Some(&finding.metric),
        _ => None,
    })?;
    let assessment = &candidate.assessment;
    assessment.guardrails.iter().chain(&assessment.success).find(|reading| reading.metric == *named)
}

fn tone_of(verdict: &Verdict) -> Tone {
    match verdict {
        Verdict::Breach | Verdict::Harm => Tone::Bad,
        Verdict::Safe | Verdict::Better => Tone::Good,
        Verdict::Inconclusive | Verdict::NoData | Verdict::Insufficient { .. } => Tone::Open,
    }
}

fn scale_of(reading: &Reading) -> Scale {
    match reading.scale {
        crate::evidence::Scale::Lift => Scale::Lift,
        crate::evidence::Scale::Value => Scale::Value { control: reading.control.filter(|c| c.is_finite()) },
    }
}

fn bound_of(bound: Bound) -> f64 {
    match bound {
        Bound::Margin(margin) => margin.get(),
        Bound::Ceiling(limit) | Bound::Floor(limit) => limit,
    }
}

fn forest_of(candidate: &CandidateReport, as_of: Date) -> Forest {
    let rows = candidate.assessment.readings().map(|reading| ForestRow {
        metric: plain(&reading.metric),
        better: reading.direction,
        scale: scale_of(reading),
        bound: Some(bound_of(reading.bound)),
        estimate: reading.effect.filter(|effect| effect.is_finite()),
        interval: reading.interval.map(|interval| (interval.low, interval.high)),
        verdict: reading.verdict.word().to_owned(),
        tone: tone_of(&reading.verdict),
        missing: match &reading.verdict {
            Verdict::Insufficient { why } => why.to_string(),
            Verdict::NoData => "not measured yet".to_owned(),
            _ => String::new(),
        },
    });
    Forest {
        title: format!("{} against control", plain(&candidate.name)),
        subtitle: format!("every metric’s interval, evidence as of {}", written(as_of)),
        rows: rows.collect(),
    }
}

fn trajectory_of(candidate: &CandidateReport, reading: &Reading, nights: &[PastNight]) -> Trajectory {
    let of_night = |night: &PastNight| -> Option<Reading> {
        let mut all = night.assessment.guardrails.iter().chain(&night.assessment.success);
        all.find(|r| r.metric == reading.metric && r.scale == reading.scale).cloned()
    };
    let drawn = nights.iter().map(|night| {
        let then = of_night(night);
        Night {
            date: night.as_of,
            estimate: then.as_ref().and_then(|r| r.effect).filter(|effect| effect.is_finite()),
            interval: then.and_then(|r| r.interval).map(|i| (i.low, i.high)),
            share: night.share.as_f64(),
        }
    });
    // Since when the verdict has been what it is tonight, if it says something.
    let tone = tone_of(&reading.verdict);
    let settled = nights.iter().rev().take_while(|night| of_night(night).is_some_and(|r| tone_of(&r.verdict) == tone));
    let crossing = settled.last().filter(|_| tone != Tone::Open).map(|night| Crossing {
        date: night.as_of,
        verdict: of_night(night).map_or_else(String::new, |r| r.verdict.word().to_owned()),
        tone,
    });
    Trajectory {
        title: format!("{} of {}", plain(&reading.metric), plain(&candidate.name)),
        subtitle: "the interval night by night".to_owned(),
        better: reading.direction,
        scale: scale_of(reading),
        bound: Some(bound_of(reading.bound)),
        nights: drawn.collect(),
        crossing,
    }
}

fn ramp_of(candidate: &CandidateReport, nights: &[PastNight]) -> Ramp {
    let nights = nights.iter().map(|night| {
        let by_hand = |reason: &Reason| matches!(reason, Reason::RolledBackByHand { .. });
        let (share, act) = match &night.decision.outcome {
            Outcome::Rollback => (Share::NONE, Act::Rollback),
            Outcome::Promote => (Share::ALL, Act::Promote),
            Outcome::Ramp { to, .. } => (*to, Act::Ramp),
            Outcome::Hold => (night.share, Act::Hold),
        };
        RampNight {
            date: night.as_of,
            share: share.as_f64(),
            act: Some(act),
            by: if night.decision.reasons.iter().any(by_hand) { DecidedBy::Hand } else { DecidedBy::Job },
        }
    });
    Ramp {
        title: format!("Share of {}", plain(&candidate.name)),
        subtitle: "what was decided, night by night".to_owned(),
        nights: nights.collect(),
    }
}

/// A row per night in which units came in, or one row of all of them where the nights before are not known.
fn split_of(candidate: &CandidateReport, nights: &[PastNight]) -> Option<Split> {
    let split = candidate.assessment.split.as_ref()?;
    let row = |label: String, candidate_units: u64, control_units: u64, planned: f64| SplitRow {
        label,
        planned: planned / (candidate_units + control_units).max(1) as f64,
        candidate_units,
        control_units,
    };
    let mut rows = Vec::new();
    let mut last = (0, 0, 0.0);
    for night in nights {
        let Some(split) = &night.assessment.split else { continue };
        let now = (split.candidate_units, split.control_units, split.planned_candidate_units);
        // What was restated cannot be told apart by nights.
        if now.0 < last.0 || now.1 < last.1 || now.2 < last.2 {
            rows.clear();
            break;
        }
        if now.0 + now.1 > last.0 + last.1 {
            let label = night.assessment.evidence_through.unwrap_or(night.as_of).strftime("%-d %b").to_string();
            rows.push(row(label, now.0 - last.0, now.1 - last.1, now.2 - last.2));
        }
        last = now;
    }
    let all = || row("all days".to_owned(), split.candidate_units, split.control_units, split.planned_candidate_units);
    if rows.len() < 2 {
        rows = vec![all()];
    } else {
        rows.push(all());
    }
    Some(Split {
        title: format!("{} against control", plain(&candidate.name)),
        subtitle: "units by day of first exposure".to_owned(),
        rows,
        log_e: split.log_e,
        threshold: candidate.split_needed.unwrap_or(1000.0),
        mismatch: split.mismatch,
    })
}

fn written(date: Date) -> String {
    date.strftime("%-d %b %Y").to_string()
}
