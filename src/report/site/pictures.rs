//! Which pictures an experiment's page shows, from its story.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::names::file_name;
use super::story::{CandidateStory, PastNight};
use super::words::visible;
use crate::chart::{
    Act, ChartError, Crossing, DecidedBy, Forest, ForestRow, Night, Picture, Ramp, RampNight, Scale, Split, SplitRow,
    Tone, Trajectory,
};
use crate::decide::{Outcome, Reason};
use crate::domain::Bound;
use crate::evidence::{self, Reading, SplitReading, Verdict};

/// A picture that is not drawn yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// Where it lies, from the root of the site.
    pub path: String,
    /// What it shows, as a caption.
    pub caption: String,
    /// What is drawn.
    drawing: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Ramp(Ramp),
    Forest(Forest),
    Trajectory(Trajectory),
    Split(Split),
}

impl Sketch {
    /// Draws it.
    ///
    /// # Errors
    ///
    /// Only if the rasteriser fails, which no data make it do.
    pub fn draw(&self) -> Result<Picture, ChartError> {
        match &self.drawing {
            Kind::Ramp(ramp) => ramp.draw(),
            Kind::Forest(forest) => forest.draw(),
            Kind::Trajectory(trajectory) => trajectory.draw(),
            Kind::Split(split) => split.draw(),
        }
    }

    /// The same for the same picture: it need not be drawn again.
    pub fn digest(&self) -> String {
        digest(&self.drawing)
    }
}

fn digest(what: &impl Debug) -> String {
    format!("{:x}", Sha256::digest(format!("{what:?}")))[..16].to_owned()
}

/// The pictures of one candidate, in the order in which they are shown.
pub(super) fn sketches(story: &CandidateStory, experiment_file: &str) -> Vec<Sketch> {
    let nights = last_revisions(&story.nights);
    let title = visible(&story.name);
    let path = |name: &str| format!("experiments/{experiment_file}/{}/{name}.png", story.folder);
    let sketch = |name: &str, caption: &str, drawing| Sketch { path: path(name), caption: caption.to_owned(), drawing };
    let mut sketches = Vec::new();
    if let Some(split) = split(story, &nights, &title) {
        sketches.push(sketch("split", "How units split", Kind::Split(split)));
    }
    sketches.push(sketch("ramp", "Its share, night by night", Kind::Ramp(ramp(&nights, &title))));
    if let Some((_, last)) = nights.last_key_value() {
        sketches.push(sketch("forest", "Every metric beside its margin", Kind::Forest(forest(last, &title))));
    }
    let mut taken = BTreeSet::new();
    let roles: [(&str, Pick); 2] = [("guardrail", guardrails), ("success", success)];
    for (role, pick) in roles {
        let last = nights.values().next_back().map(|night| pick(night)).unwrap_or_default();
        for reading in last {
            // A metric may be judged twice, by a margin and by a limit.
            let metric = file_name(&reading.metric, "");
            let mut name = format!("{role}-{metric}");
            let mut nth = 1;
            while !taken.insert(name.clone()) {
                nth += 1;
                name = format!("{role}-{metric}.{nth}");
            }
            let same = |one: &&Reading| one.metric == reading.metric && alike(one, reading);
            let course: Vec<(&PastNight, &Reading)> =
                nights.values().filter_map(|night| Some((*night, pick(night).iter().find(same)?))).collect();
            let caption = format!("{}, night by night", visible(&reading.metric));
            let drawing = Kind::Trajectory(trajectory(reading, &course, &title));
            // A guardrail that is the success metric as well, within the same margin, is drawn once.
            if !sketches.iter().any(|before: &Sketch| before.drawing == drawing) {
                sketches.push(sketch(&name, &caption, drawing));
            }
        }
    }
    sketches
}

/// Some of the readings of a night.
type Pick = fn(&PastNight) -> &[Reading];

fn guardrails(night: &PastNight) -> &[Reading] {
    &night.assessment.guardrails
}

fn success(night: &PastNight) -> &[Reading] {
    &night.assessment.success
}

/// Whether two readings are judged by the same kind of bound, so that their numbers may stand on one axis.
fn alike(one: &Reading, other: &Reading) -> bool {
    std::mem::discriminant(&one.bound) == std::mem::discriminant(&other.bound) && one.direction == other.direction
}

/// Of each night the decision that stands.
fn last_revisions(nights: &[PastNight]) -> BTreeMap<Date, &PastNight> {
    nights.iter().map(|night| (night.as_of, night)).collect()
}

fn span(nights: &BTreeMap<Date, &PastNight>) -> String {
    match (nights.keys().next(), nights.keys().next_back()) {
        (Some(first), Some(last)) if first != last => format!("nights of {first} to {last}"),
        (Some(only), _) => format!("night of {only}"),
        _ => String::new(),
    }
}

fn ramp(nights: &BTreeMap<Date, &PastNight>, title: &str) -> Ramp {
    let night = |night: &&PastNight| {
        let before = night.share?.as_f64();
        let (share, act) = match night.decision.outcome {
            Outcome::Rollback => (0.0, Act::Rollback),
            Outcome::Promote => (1.0, Act::Promote),
            Outcome::Ramp { to, .. } => (to.as_f64(), Act::Ramp),
            Outcome::Hold => (before, Act::Hold),
        };
        let by_hand = night.decision.reasons.iter().any(|reason| matches!(reason, Reason::RolledBackByHand { .. }));
        let by = if by_hand { DecidedBy::Hand } else { DecidedBy::Job };
        Some(RampNight { date: night.as_of, share, act: Some(act), by })
    };
    Ramp {
        title: title.to_owned(),
        subtitle: format!("share of units, {}", span(nights)),
        nights: nights.values().filter_map(night).collect(),
    }
}

fn forest(night: &PastNight, title: &str) -> Forest {
    let through = night.assessment.evidence_through;
    Forest {
        title: format!("{title} against control"),
        subtitle: through.map_or("no closed day yet".to_owned(), |date| format!("units of all days up to {date}")),
        rows: night.assessment.readings().map(row).collect(),
    }
}

fn row(reading: &Reading) -> ForestRow {
    ForestRow {
        metric: visible(&reading.metric),
        better: reading.direction,
        scale: scale(reading),
        bound: bound(reading),
        estimate: reading.effect,
        interval: reading.interval.map(|interval| (interval.low, interval.high)),
        verdict: reading.verdict.word().to_owned(),
        tone: tone(&reading.verdict),
        missing: match &reading.verdict {
            Verdict::NoData => "not measured in a single unit".to_owned(),
            Verdict::Insufficient { why } => why.to_string(),
            _ => "no interval before the first look".to_owned(),
        },
    }
}

fn trajectory(last: &Reading, course: &[(&PastNight, &Reading)], title: &str) -> Trajectory {
    let night = |(night, reading): &(&PastNight, &Reading)| Night {
        date: night.as_of,
        estimate: reading.effect,
        interval: reading.interval.map(|interval| (interval.low, interval.high)),
        share: night.share.map_or(0.0, |share| share.as_f64()),
    };
    let aim = if course.len() == 1 { "1 night".to_owned() } else { format!("{} nights", course.len()) };
    Trajectory {
        title: format!("{} of {title}", visible(&last.metric)),
        subtitle: format!("what no night has ruled out, {aim}"),
        better: last.direction,
        scale: scale(last),
        bound: bound(last),
        nights: course.iter().map(night).collect(),
        crossing: crossing(course),
    }
}

/// The first night of those that agree with the last one, if the last one shows something.
fn crossing(course: &[(&PastNight, &Reading)]) -> Option<Crossing> {
    let (_, last) = course.last()?;
    let agrees = |verdict: &Verdict| {
        (last.verdict.is_harm() && verdict.is_harm()) || (last.verdict.is_safe() && verdict.is_safe())
    };
    let (night, reading) = course.iter().rev().take_while(|(_, reading)| agrees(&reading.verdict)).last()?;
    Some(Crossing { date: night.as_of, verdict: reading.verdict.word().to_owned(), tone: tone(&reading.verdict) })
}

fn scale(reading: &Reading) -> Scale {
    match reading.scale {
        evidence::Scale::Lift => Scale::Lift,
        evidence::Scale::Value => Scale::Value { control: reading.control },
    }
}

fn bound(reading: &Reading) -> Option<f64> {
    Some(match reading.bound {
        Bound::Margin(margin) => margin.get(),
        Bound::Ceiling(limit) | Bound::Floor(limit) => limit,
    })
}

fn tone(verdict: &Verdict) -> Tone {
    match verdict {
        Verdict::Breach | Verdict::Harm => Tone::Bad,
        Verdict::Safe | Verdict::Better => Tone::Good,
        Verdict::Inconclusive | Verdict::NoData | Verdict::Insufficient { .. } => Tone::Open,
    }
}

/// The split, where a night found it mismatched: what each night saw more than the one before.
fn split(story: &CandidateStory, nights: &BTreeMap<Date, &PastNight>, title: &str) -> Option<Split> {
    let seen: Vec<(Date, &SplitReading)> =
        nights.iter().filter_map(|(date, night)| Some((*date, night.assessment.split.as_ref()?))).collect();
    if !seen.iter().any(|(_, split)| split.mismatch) {
        return None;
    }
    let (_, last) = seen.last()?;
    let mut before = (0, 0, 0.0);
    let mut rows = Vec::new();
    for (at, (date, split)) in seen.iter().enumerate() {
        let now = (split.control_units, split.candidate_units, split.planned_candidate_units);
        let control_units = now.0.saturating_sub(before.0);
        let candidate_units = now.1.saturating_sub(before.1);
        let units = control_units.saturating_add(candidate_units);
        // Counts that were restated to less are no single night's.
        if units > 0 && now.0 >= before.0 && now.1 >= before.1 {
            let planned = (now.2 - before.2) / units as f64;
            // The first night counts all days before it as well.
            let label = date.strftime(if at == 0 { "to %-d %b" } else { "%-d %b" }).to_string();
            rows.push(SplitRow { label, planned, candidate_units, control_units });
        }
        before = now;
    }
    Some(Split {
        title: format!("Units of {title} and control"),
        subtitle: "what each night saw for the first time".to_owned(),
        rows,
        log_e: last.log_e,
        threshold: story.mismatch_from,
        mismatch: last.mismatch,
    })
}

#[cfg(test)]
#[path = "pictures_tests.rs"]
mod tests;
