//! Why: one value per reason.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::{AdviceOnly, Outcome};
use crate::domain::{ExperimentStatus, Frozen, ManualHold, Said, Share};
use crate::evidence::{DayState, Vanished, Verdict};

/// The step up that a candidate waits for, or would be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// To the next stage's share.
    Ramp {
        /// The share.
        to: Share,
    },
    /// To every unit.
    Promote,
    /// Back to control.
    Rollback,
    /// None.
    Stay,
}

impl From<Outcome> for Step {
    fn from(outcome: Outcome) -> Step {
        match outcome {
            Outcome::Rollback => Step::Rollback,
            Outcome::Promote => Step::Promote,
            Outcome::Ramp { to, .. } => Step::Ramp { to },
            Outcome::Hold => Step::Stay,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Ramp { to } => write!(f, "ramp to {to}"),
            Step::Promote => f.write_str("promote"),
            Step::Rollback => f.write_str("roll back"),
            Step::Stay => f.write_str("stay"),
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
    /// Harm is shown for guardrails that the policy only wants told of.
    HarmToTell {
        /// The guardrails.
        findings: Vec<Finding>,
    },
    /// The job would act, and was told only to say so.
    AdviceOnly {
        /// What it would do.
        would: Step,
        /// Who told it.
        why: AdviceOnly,
    },
    /// Somebody took the candidate off.
    RolledBackByHand {
        /// Who, and why.
        said: Said,
    },
    /// Somebody holds it.
    HeldByHand {
        /// The hold.
        hold: ManualHold,
    },
    /// A freeze holds.
    Frozen {
        /// The freeze.
        freeze: Frozen,
    },
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
    /// A guardrail's data stopped coming.
    DataVanished {
        /// Since when.
        vanished: Vanished,
    },
    /// The stage has not lasted whole weeks.
    NotWholeWeeks {
        /// Full days so far.
        days: i64,
        /// The stage's share.
        stage: Share,
    },
    /// The allocations were changed not long enough ago.
    CoolingDown {
        /// Full days since.
        days: i64,
        /// Full days needed.
        needed: u32,
    },
    /// The next stage may bring more harm than is borne.
    RiskOverBudget {
        /// The guardrail that may lose most.
        finding: Finding,
        /// The next stage's share.
        to: Share,
        /// That share × the upper bound on the loss; none where nothing bounds the loss yet.
        risk: Option<f64>,
        /// What is borne.
        budget: f64,
    },
    /// Shown tonight, and not on enough nights yet.
    NotConfirmed {
        /// Nights that showed it, tonight among them.
        shown: u32,
        /// Nights needed.
        needed: u32,
        /// Out of the last so many.
        of: u32,
    },
    /// Everything is there but knowledge of units: what was judged are aggregates over events.
    FromAggregates {
        /// What the policy does not let aggregates alone do.
        step: Step,
    },
    /// Everything is there but a person's yes.
    AwaitingApproval {
        /// The stage that is to be left.
        stage: usize,
        /// What is to be approved.
        step: Step,
    },
    /// Somebody said no.
    Rejected {
        /// Who, and why.
        said: Said,
    },
    /// Somebody said yes.
    Approved {
        /// Who, and why.
        said: Said,
    },
    /// The planned nights are over, and the policy takes the candidate off.
    DeadlineRollback {
        /// The last night that was planned.
        max_nights: u32,
    },
    /// The last planned night, and every guardrail and success metric was shown within its margin.
    ShownSafeAtDeadline {
        /// The guardrails.
        guardrails: Vec<Finding>,
        /// The success metrics.
        success: Vec<Finding>,
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
        /// The success metrics that were shown.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        success: Vec<Finding>,
        /// Full days in the last stage.
        days: i64,
    },
}

impl Reason {
    /// Whether the run could not evaluate the experiment as configured, which its exit code tells.
    pub fn is_failure(&self) -> bool {
        matches!(self, Reason::Misconfigured { .. } | Reason::QueryFailed { .. } | Reason::NotNumbers { .. })
    }

    /// Whether somebody must do something, or nothing will go on.
    pub fn needs_somebody(&self) -> bool {
        let breach = |finding: &Finding| finding.verdict == Verdict::Breach.word();
        // Harm that is shown and is not rolled back does not pass by itself.
        let lasting = matches!(self, Reason::HarmSuspected { findings, .. } if findings.iter().any(breach));
        lasting
            || self.is_failure()
            || matches!(
                self,
                Reason::AwaitingApproval { .. }
                    | Reason::FromAggregates { .. }
                    | Reason::SampleRatioMismatch { .. }
                    | Reason::MultipleExposure { .. }
                    | Reason::LimitBrokenByBoth { .. }
                    | Reason::HarmInsideMargin { .. }
                    | Reason::HarmHeldForMismatch
                    | Reason::DataVanished { .. }
                    | Reason::DeadlinePassed { .. }
                    | Reason::NoTraffic
                    | Reason::AdviceOnly { .. }
            )
    }

    /// The name of the reason, as in the stored record.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.get("reason").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned()
    }
}
