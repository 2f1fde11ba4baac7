//! What happened in one night, as data.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::decide::{Decision, Forecast, Outcome, Reason};
use crate::domain::{Amendment, Share};
use crate::evidence::{Assessment, PercentileReading};
use crate::plan::Reallocation;

/// One night.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NightReport {
    /// The version of this structure, for machines that read it.
    pub schema_version: u32,
    /// The day that the evidence speaks about.
    pub as_of: Date,
    /// The run; none for a plan, which records nothing.
    pub run: Option<Uuid>,
    /// When the night ran.
    pub at: Timestamp,
    /// The experiments, in order of their names.
    pub experiments: Vec<ExperimentReport>,
    /// What earlier nights had left to do and is done now.
    pub resumed: Vec<String>,
    /// How many units of control were drawn anew, and how the arms stand beside the plan since.
    pub moved: Vec<String>,
    /// What is still to be done, with the error that keeps it from being done.
    pub unfinished: Vec<String>,
    /// What was read back and is not as decided: found by this run, or before and not over.
    pub incidents: Vec<Incident>,
}

/// A value that is not what was decided: somebody else has set it, or it did not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its key.
    pub id: Uuid,
    /// What has the value: `alias champion of planner`.
    pub what: String,
    /// What was expected there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What was done about it, and what to do.
    pub advice: String,
    /// The decision that it contradicts, if that is known.
    pub decision: Option<Uuid>,
    /// That decision's experiment, if it is still there.
    #[serde(default)]
    pub experiment: Option<String>,
    /// The journal's action that found it, if one did.
    pub action: Option<String>,
    /// When it was found.
    pub found_at: Timestamp,
    /// Whether nobody was told of it yet; an old one is told in one line.
    pub new: bool,
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Incident { what, expected, found, advice, .. } = self;
        if self.new {
            write!(f, "{what}: found {found}, expected {expected}; {advice}")
        } else {
            let since = self.found_at.to_zoned(TimeZone::UTC).date();
            write!(f, "{what}: still not as decided, since {since} (found {found}, expected {expected})")
        }
    }
}

/// What became of an experiment tonight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It was decided.
    Decided,
    /// This night was decided before, from the same evidence; nothing was done again.
    AlreadyDecided,
    /// It could not be evaluated or applied.
    Failed {
        /// The error, with its causes.
        why: String,
    },
}

/// One experiment's night.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExperimentReport {
    /// Its name.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whether something about it could not be evaluated, tonight or when this night was decided before.
    pub faulty: bool,
    /// Its candidates, by name.
    pub candidates: Vec<CandidateReport>,
    /// The allocations before and after; empty if they stay.
    pub allocations: Vec<Reallocation>,
    /// The follow-ups, as sentences, in the order of execution.
    pub steps: Vec<String>,
    /// That somebody else changed the split, if so.
    pub outside_change: bool,
    /// How the rules differ from those of the night before, if they do.
    #[serde(default)]
    pub amendment: Option<Amendment>,
    /// Data that were restated after they had been decided from, if there are.
    #[serde(default)]
    pub restatement: Option<Restatement>,
    /// The first day whose units count, where the rules were changed on the way.
    #[serde(default)]
    pub evidence_from: Option<Date>,
    /// Who answers for it, as mail addresses.
    #[serde(default)]
    pub owners: Vec<String>,
    /// What else somebody did by hand, a line each, with what to do about it.
    #[serde(default)]
    pub by_hand: Vec<String>,
    /// Versions that came in, or were kept out, a line each.
    #[serde(default)]
    pub route: Vec<String>,
}

/// Data that changed after they had been decided from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restatement {
    /// The days, each with its count of events then and now.
    pub days: Vec<String>,
    /// How many cohorts differ.
    pub cohorts: usize,
    /// What the last decisions would have been.
    pub would_have_been: Vec<WouldHaveBeen>,
}

/// A decision, and what it would have been on the restated data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WouldHaveBeen {
    /// The candidate.
    pub candidate: String,
    /// The decision.
    pub decision: Uuid,
    /// What was decided.
    pub was: Outcome,
    /// What would have been.
    pub would_be: Outcome,
}

impl fmt::Display for Restatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restated since they were decided from: {} ({} cohorts differ)", self.days.join(", "), self.cohorts)?;
        for one in &self.would_have_been {
            let (candidate, was, would_be) = (&one.candidate, one.was.word(), one.would_be.word());
            match one.was == one.would_be {
                true => write!(f, "; {candidate}: the last decision, {was}, would have been the same")?,
                false => write!(f, "; {candidate}: the last decision was {was} and would have been {would_be}")?,
            }
        }
        Ok(())
    }
}

/// One candidate's night.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CandidateReport {
    /// Its name.
    pub name: String,
    /// The decision's key; none for a plan.
    pub decision_id: Option<Uuid>,
    /// How often this night was decided before.
    pub revision: i64,
    /// Its share before.
    pub share: Share,
    /// The stage that it stands at, from 1, and how many there are.
    pub stage: (usize, usize),
    /// What was decided and why.
    pub decision: Decision,
    /// What the evidence shows.
    pub assessment: Assessment,
    /// When it would go on, if it is held.
    #[serde(default)]
    pub forecast: Option<Forecast>,
    /// What was decided of it the night before, if it was decided then.
    #[serde(default)]
    pub before: Option<Before>,
    /// The e-value from which on its split counts as mismatched.
    #[serde(default)]
    pub split_needed: Option<f64>,
    /// Percentiles of both arms, which decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub percentiles: Vec<PercentileReading>,
}

/// What the last decision of an earlier night said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// That night.
    pub as_of: Date,
    /// What was decided.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The share at that time.
    pub share: Share,
    /// Units in control.
    pub control_units: u64,
    /// Units in the candidate.
    pub candidate_units: u64,
    /// What the metrics showed.
    pub metrics: Vec<BeforeMetric>,
}

/// What a metric showed the night before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeforeMetric {
    /// Its name.
    pub metric: String,
    /// The verdict's word.
    pub verdict: String,
    /// The lift or value.
    pub effect: Option<f64>,
}

impl CandidateReport {
    /// Whether somebody must do something, or nothing will go on.
    pub fn needs_somebody(&self) -> bool {
        self.decision.needs_somebody() || matches!(self.forecast, Some(Forecast::Unreachable { .. }))
    }

    /// Whether it could not be evaluated as configured.
    pub fn is_faulty(&self) -> bool {
        self.decision.reasons.iter().any(Reason::is_failure)
    }
}

impl Before {
    /// What a decision of an earlier night said, at the share that the candidate had then.
    pub fn of(as_of: Date, share: Share, decision: &Decision, assessment: &Assessment) -> Before {
        let metrics = assessment.guardrails.iter().chain(&assessment.success).map(|reading| BeforeMetric {
            metric: reading.metric.clone(),
            verdict: reading.verdict.word().to_owned(),
            effect: reading.effect.filter(|effect| effect.is_finite()),
        });
        Before {
            as_of,
            outcome: decision.outcome.clone(),
            share,
            control_units: assessment.control_units,
            candidate_units: assessment.candidate_units,
            metrics: metrics.collect(),
        }
    }
}

impl ExperimentReport {
    /// What limits how far its decisions may be trusted, if anything does.
    pub fn caution(&self) -> Option<String> {
        let judged = self.candidates.iter().find_map(|candidate| candidate.assessment.from_events.as_ref());
        judged.map(ToString::to_string)
    }

    /// One of which there is nothing to tell but this.
    pub fn bare(name: String, standing: Standing) -> ExperimentReport {
        ExperimentReport {
            name,
            faulty: matches!(standing, Standing::Failed { .. }),
            standing,
            candidates: Vec::new(),
            allocations: Vec::new(),
            steps: Vec::new(),
            outside_change: false,
            amendment: None,
            restatement: None,
            evidence_from: None,
            owners: Vec::new(),
            by_hand: Vec::new(),
            route: Vec::new(),
        }
    }

    /// What else readers must know of it, as sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.caution().into_iter().collect();
        if self.outside_change {
            notes.push("somebody else changed the split; a new allocation epoch began".to_owned());
        }
        if let Some(amendment) = &self.amendment {
            let after = match (amendment.restarts, self.evidence_from) {
                (true, Some(from)) => format!("the evidence begins anew with the units of {from}"),
                _ => "the evidence goes on".to_owned(),
            };
            notes.push(format!("the rules were changed, and {after}: {}", amendment.changes.join("; ")));
        } else if let Some(from) = self.evidence_from {
            notes.push(format!("the rules were changed on the way: only units from {from} on count"));
        }
        notes.extend(self.route.iter().cloned());
        notes.extend(self.by_hand.iter().map(|line| format!("changed by hand: {line}")));
        notes.extend(self.restatement.iter().map(Restatement::to_string));
        notes
    }

    /// Whether somebody must do something about it.
    pub fn needs_somebody(&self) -> bool {
        self.faulty || self.candidates.iter().any(CandidateReport::needs_somebody)
    }
}

impl NightReport {
    /// How many candidates had that outcome.
    pub fn count(&self, matches: impl Fn(&Outcome) -> bool) -> usize {
        self.decided().filter(|candidate| matches(&candidate.decision.outcome)).count()
    }

    /// The candidates that were decided tonight.
    pub fn decided(&self) -> impl Iterator<Item = &CandidateReport> {
        let decided = self.experiments.iter().filter(|e| e.standing != Standing::AlreadyDecided);
        decided.flat_map(|experiment| &experiment.candidates)
    }

    /// What limits how far decisions may be trusted: each caution once, with the experiments that it is about.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions: Vec<(String, Vec<&str>)> = Vec::new();
        for experiment in &self.experiments {
            let Some(caution) = experiment.caution() else { continue };
            match cautions.iter_mut().find(|(known, _)| *known == caution) {
                Some((_, names)) => names.push(&experiment.name),
                None => cautions.push((caution, vec![&experiment.name])),
            }
        }
        let told = cautions.into_iter().map(|(caution, names)| match names.as_slice() {
            [first, second, third, more @ ..] if !more.is_empty() => {
                format!("{caution} ({first}, {second}, {third} and {} more)", more.len())
            }
            few => format!("{caution} ({})", few.join(", ")),
        });
        told.collect()
    }

    /// Whether an experiment could not be evaluated or applied, or something is not as decided.
    pub fn has_failures(&self) -> bool {
        self.experiments.iter().any(|experiment| experiment.faulty) || !self.incidents.is_empty()
    }

    /// The night in a few words: `1 rolled back, 2 ramped, 3 held`.
    pub fn summary(&self) -> String {
        let counts = [
            (self.count(|o| *o == Outcome::Rollback), "rolled back"),
            (self.count(|o| *o == Outcome::Promote), "promoted"),
            (self.count(|o| matches!(o, Outcome::Ramp { .. })), "ramped"),
            (self.count(|o| *o == Outcome::Hold), "held"),
            (self.experiments.iter().filter(|e| matches!(e.standing, Standing::Failed { .. })).count(), "failed"),
            (self.experiments.iter().filter(|e| !e.by_hand.is_empty()).count(), "changed by hand"),
            (self.incidents.len(), "not as decided"),
        ];
        let told: Vec<String> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if told.is_empty() { "nothing new".to_owned() } else { told.join(", ") }
    }
}
