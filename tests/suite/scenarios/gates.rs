//! The order of the gates, held against real decisions.
//!
//! For each decision this asks which gates *apply*: those that would close if nothing that stands before them did. Then
//! the first of them must have decided, and those behind it must be told as well where the order says so.

use std::collections::BTreeSet;
use std::fmt;

use rampkeeper::decide::{Decision, Facts, Look, Outcome, Reason, Situation, decide};
use rampkeeper::domain::{AfterDeadline, Approval, ExperimentStatus, Policy, Share};
use rampkeeper::evidence::{Assessment, Interval, PromotionLook, Reading, Verdict};

/// The gates, in the order in which `rampkeeper::decide` walks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    ByHand,
    NotActive,
    Harm,
    Held,
    InvalidData,
    MissingData,
    HarmHeld,
    NoShare,
    Deadline,
    Frozen,
    TimeAndUnits,
    Evidence,
    Room,
    UnitsKnown,
    Approval,
}

use Gate::*;

impl Gate {
    /// All of them, in their order.
    pub const ALL: [Gate; 15] = [
        ByHand,
        NotActive,
        Harm,
        Held,
        InvalidData,
        MissingData,
        HarmHeld,
        NoShare,
        Deadline,
        Frozen,
        TimeAndUnits,
        Evidence,
        Room,
        UnitsKnown,
        Approval,
    ];
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ByHand => "rolled back by hand",
            NotActive => "not active",
            Harm => "harm shown",
            Held => "held by hand",
            InvalidData => "invalid data",
            MissingData => "missing data",
            HarmHeld => "harm that is not rolled back",
            NoShare => "no share of the units",
            Deadline => "the deadline",
            Frozen => "a freeze",
            TimeAndUnits => "time and units",
            Evidence => "evidence for the next step",
            Room => "room in the allocation",
            UnitsKnown => "knowledge of units",
            Approval => "approval",
        })
    }
}

macro_rules! reasons {
    ($($reason:ident => $gate:expr,)*) => {
        /// Every reason that there is.
        pub const REASONS: &[&str] = &[$(stringify!($reason)),*];

        /// A reason's name, and the gate that gives it. A new reason does not compile until it has its place here.
        pub fn place(reason: &Reason) -> (&'static str, Option<Gate>) {
            match reason { $(Reason::$reason { .. } => (stringify!($reason), $gate),)* }
        }
    };
}

reasons! {
    RolledBackByHand => Some(ByHand),
    NotActive => Some(NotActive),
    HarmShown => Some(Harm),
    HeldByHand => Some(Held),
    Misconfigured => Some(InvalidData),
    SampleRatioMismatch => Some(InvalidData),
    MultipleExposure => Some(InvalidData),
    NotNumbers => Some(InvalidData),
    Stale => Some(MissingData),
    QueryFailed => Some(MissingData),
    NoData => Some(MissingData),
    DataVanished => Some(MissingData),
    HarmInsideMargin => Some(HarmHeld),
    LimitBrokenByBoth => Some(HarmHeld),
    HarmHeldForMismatch => Some(HarmHeld),
    NoTraffic => Some(NoShare),
    DeadlineRollback => Some(Deadline),
    Frozen => Some(Frozen),
    TooSoon => Some(TimeAndUnits),
    NotWholeWeeks => Some(TimeAndUnits),
    CoolingDown => Some(TimeAndUnits),
    TooFewUnits => Some(TimeAndUnits),
    HarmSuspected => Some(Evidence),
    EstimateOutsideMargin => Some(Evidence),
    NotShownSafe => Some(Evidence),
    RiskOverBudget => Some(Evidence),
    BeforeFirstLook => Some(Evidence),
    DeadlinePassed => Some(Evidence),
    NotShownBetter => Some(Evidence),
    NotConfirmed => Some(Evidence),
    NoRoom => Some(Room),
    FromAggregates => Some(UnitsKnown),
    AwaitingApproval => Some(Approval),
    Rejected => Some(Approval),
    // What goes with an outcome, or stands before all gates.
    HarmDespiteMismatch => None,
    HarmToTell => None,
    AdviceOnly => None,
    SiblingPromoted => None,
    Approved => None,
    StagePassed => None,
    ShownSafe => None,
    ShownSafeAtDeadline => None,
}

/// A decision with everything that it was made from.
#[derive(Clone, Debug)]
pub struct Made {
    pub policy: Policy,
    pub facts: Facts,
    pub assessment: Assessment,
    pub decision: Decision,
}

impl Made {
    /// The gates that the decision tells of, in the order in which it does.
    pub fn told(&self) -> Vec<Gate> {
        let mut told: Vec<Gate> = self.decision.reasons.iter().filter_map(|reason| place(reason).1).collect();
        told.dedup();
        told
    }

    /// The gates that apply.
    pub fn applying(&self) -> BTreeSet<Gate> {
        Gate::ALL.into_iter().filter(|gate| self.applies(*gate)).collect()
    }

    /// The gates that apply and are not told.
    pub fn hidden(&self) -> BTreeSet<Gate> {
        let told = self.told();
        self.applying().into_iter().filter(|gate| !told.contains(gate)).collect()
    }

    fn applies(&self, gate: Gate) -> bool {
        let mut alone = self.clone();
        // Nobody's mode stands before a gate.
        alone.facts.advice_only = None;
        // Neither of these two is asked for where something else holds up.
        if gate >= UnitsKnown {
            Gate::ALL.into_iter().filter(|earlier| *earlier < gate).for_each(|earlier| alone.open(earlier));
        }
        loop {
            alone.decision = alone.decide();
            if alone.told().contains(&gate) {
                return true;
            }
            let Some(hider) = alone.hider() else { return false };
            alone.open(hider);
        }
    }

    /// The gate that decides whatever stands behind it, and so says nothing of that.
    fn hider(&self) -> Option<Gate> {
        let told = self.told();
        let hides = |gate: &&Gate| match gate {
            NotActive | Harm => true,
            ByHand => true,
            // Told beside others, it only says what it will do.
            Deadline => told[0] == Deadline,
            _ => false,
        };
        told.iter().find(hides).copied()
    }

    fn decide(&self) -> Decision {
        decide(&Situation { policy: &self.policy, assessment: &self.assessment, facts: &self.facts })
    }

    /// Takes away what closes a gate.
    fn open(&mut self, gate: Gate) {
        let Made { policy, facts, assessment, .. } = self;
        let stage = policy.stages[facts.state.stage.min(policy.stages.len() - 1)];
        match gate {
            ByHand => facts.wish.rollback = None,
            NotActive => facts.status = ExperimentStatus::Active,
            Harm => assessment.log_e_rollback = f64::NEG_INFINITY,
            Held => facts.wish.hold = None,
            InvalidData => {
                facts.faults.clear();
                assessment.split = None;
                (assessment.multiple_exposure, assessment.not_numbers) = (0.0, 0);
            }
            MissingData => {
                facts.look = Look::Fresh;
                facts.vanished.clear();
                readings(assessment).filter(|reading| reading.verdict == Verdict::NoData).for_each(quiet);
            }
            HarmHeld => {
                assessment.log_e_rollback = f64::NEG_INFINITY;
                assessment.guardrails.iter_mut().for_each(|reading| reading.control_breaks_limit = false);
            }
            NoShare if facts.share == Share::NONE => facts.share = stage.allocation,
            NoShare => {}
            Deadline => policy.after_max_nights = AfterDeadline::Hold,
            Frozen => facts.frozen = None,
            TimeAndUnits => {
                policy.cooldown_days = 0;
                for stage in &mut policy.stages {
                    (stage.min_days, stage.min_units, stage.whole_weeks) = (0, 0, false);
                }
            }
            Evidence => {
                (policy.risk_budget, policy.confirmation) = (None, None);
                assessment.log_e_rollback = f64::NEG_INFINITY;
                assessment.promotion_look = PromotionLook::EveryNight;
                readings(assessment).for_each(quiet);
            }
            Room => facts.control_share = Share::ALL,
            UnitsKnown => assessment.from_events = None,
            Approval => {
                facts.wish.rejected = None;
                policy.stages.iter_mut().for_each(|stage| stage.approval = Approval::Auto);
            }
        }
    }

    /// What is wrong with the order in which the gates decided.
    pub fn faults(&self) -> Vec<String> {
        let (told, applying) = (self.told(), self.applying());
        let mut faults = Vec::new();
        let first = told.first().copied();
        let hold = self.facts.wish.hold.as_ref();
        // The one exception: a hold that is to hold even proven harm.
        let held_harm = hold.is_some_and(|hold| hold.even_if_harmful) && first == Some(Held);
        if !held_harm && first != applying.first().copied() {
            faults.push(format!("{first:?} decided, although {:?} applies", applying.first()));
        }
        if !held_harm && !told.is_sorted() {
            faults.push(format!("told out of order: {told:?}"));
        }
        faults.extend(told.iter().filter(|gate| !applying.contains(gate)).map(|gate| format!("{gate:?} is no cause")));
        if self.hider().is_none() {
            let hidden = self.hidden().into_iter().filter(|gate| *gate < UnitsKnown);
            faults.extend(hidden.map(|gate| format!("{gate:?} applies and is not told")));
        }
        let rises = matches!(self.decision.outcome, Outcome::Ramp { .. } | Outcome::Promote);
        if rises && !applying.is_empty() {
            faults.push(format!("it rises, although {applying:?} applies"));
        }
        faults
    }
}

fn readings(assessment: &mut Assessment) -> impl Iterator<Item = &mut Reading> {
    assessment.guardrails.iter_mut().chain(&mut assessment.success)
}

/// Makes a reading speak for the candidate.
fn quiet(reading: &mut Reading) {
    reading.verdict = Verdict::Better;
    (reading.effect, reading.standard_error) = (Some(0.0), Some(0.001));
    reading.interval = Some(Interval { low: 0.0, high: 0.0 });
    (reading.log_e_harm, reading.log_e_adjusted) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
}
