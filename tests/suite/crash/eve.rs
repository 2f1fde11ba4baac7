//! The night that is killed: three experiments of which one is rolled back, one is ramped and one is promoted.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rampkeeper::demo::{Effects, Scenario};
use serde_json::json;

use crate::embedded::{better, day, harmful, key};

/// The three experiments, in the order of their names, in which a night takes them.
pub const EXPERIMENTS: [&str; 3] = ["costly", "steady", "winner"];

/// The experiment that has no candidate yet, where the night lets one in.
pub const ARRIVING: &str = "arriving";

/// The day that the night judges.
pub fn judged() -> Date {
    day(1)
}

/// When the night's first run begins: two in the night after.
pub fn first_run() -> Timestamp {
    "2026-03-04T02:00:00Z".parse().expect("a time")
}

/// When a run begins that takes up what another left: past that one's lease, since a killed run frees its lease by dying
/// and five minutes' silence.
pub fn next_run(nth: usize) -> Timestamp {
    first_run() + SignedDuration::from_mins(6 * i64::try_from(nth).expect("a small number"))
}

/// When a run begins by which the split of all runs before has settled.
pub fn settled_run(nth: usize) -> Timestamp {
    next_run(nth) + SignedDuration::from_mins(60)
}

/// What is true of the candidates. Their arms come with [`shares`].
pub fn scenarios() -> Vec<Scenario> {
    let winner = Effects { acceptance: 1.25, cost: 0.7, ..Effects::NONE };
    vec![harmful("costly"), better("steady"), Scenario { effects: winner, ..better("winner") }]
}

/// The shares of control and candidate, in ten-thousandths.
pub fn shares(experiment: &str) -> [u16; 2] {
    if experiment == "winner" { [5_000, 5_000] } else { [9_000, 1_000] }
}

/// Units that control of the promoted experiment has had since before the experiment: more than one batch moves.
pub const OLD_UNITS: usize = 10_200;

/// Units that assignment services give to an arm after it was left, until the split has settled: the second sweep is for
/// them. Rows of `experiment_id, unit_type, unit_id, variant_id, assigned_at`.
pub fn late_units() -> String {
    let rows = [("costly", "candidate"), ("winner", "control")].into_iter().flat_map(|(experiment, arm)| {
        (0..3).map(move |n| {
            let (id, variant) = (key(experiment), key(&format!("{experiment} {arm}")));
            format!("('{id}', 'user', 'late-{n}', '{variant}', '2026-03-04T02:01:00.000000Z')")
        })
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// A config that names the policy version of an arm, from 1.
pub fn config(experiment: &str, number: usize) -> String {
    let version = key(&format!("{experiment} version {number}"));
    json!({ "execution_strategy": "mlflow_model", "mlflow_model": { "policy_version_id": version } }).to_string()
}
