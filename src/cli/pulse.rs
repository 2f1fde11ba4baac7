//! The heartbeat around a night: pinged when it begins and when it ends, however it ends.
//!
//! A ping that fails is logged, once a night, and keeps nothing from its work.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use super::night::exit_of;
use super::{Exit, connect, exit_of_error};
use crate::apply::chain;
use crate::config::Config;
use crate::night::NightError;
use crate::notify::{Beat, CallError, Heartbeat};
use crate::report::NightReport;

/// How long a run that was asked to stop waits for its last ping.
const WHEN_STOPPED: Duration = Duration::from_secs(5);

/// The heartbeat of one night.
pub(super) struct Pulse(Option<Beating>);

struct Beating {
    heartbeat: Arc<Heartbeat>,
    fail_on: Vec<u8>,
    /// The first ping, on its way while the night is at work.
    start: JoinHandle<Result<(), CallError>>,
}

impl Pulse {
    /// Says that a night begins, without waiting for it to be heard.
    pub(super) fn begin(config: &Config) -> Pulse {
        let Some(entry) = &config.settings.heartbeat else { return Pulse(None) };
        let heartbeat = match connect::heartbeat(config, entry, Uuid::new_v4()) {
            Ok(heartbeat) => Arc::new(heartbeat),
            Err(error) => {
                tracing::warn!("there is no heartbeat tonight: {error:#}");
                return Pulse(None);
            }
        };
        let first = Arc::clone(&heartbeat);
        let start = tokio::spawn(async move { first.ping(&Beat::Start).await });
        Pulse(Some(Beating { heartbeat, fail_on: entry.fail_on.clone(), start }))
    }

    /// Says how the night ended.
    pub(super) async fn end(self, ended: &anyhow::Result<NightReport>) {
        let Some(Beating { heartbeat, fail_on, start }) = self.0 else { return };
        let pings = async {
            // The two must arrive in their order.
            let begun = start.await.unwrap_or(Ok(()));
            let over = heartbeat.ping(&last_beat(ended, &fail_on)).await;
            // Where neither was heard, one line says it.
            over.and(begun)
        };
        let was_stopped = ended.as_ref().is_err_and(is_stopped);
        let heard = match was_stopped {
            true => tokio::time::timeout(WHEN_STOPPED, pings).await,
            false => Ok(pings.await),
        };
        match heard {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the heartbeat could not be pinged: {}", chain(&error)),
            Err(_) => {
                tracing::warn!("the heartbeat could not be pinged within {WHEN_STOPPED:?}, and this run is to stop")
            }
        }
    }
}

fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(NightError::Stopped))
}

fn last_beat(ended: &anyhow::Result<NightReport>, fail_on: &[u8]) -> Beat {
    match ended {
        Ok(report) => {
            let exit = exit_of(report);
            let words = words(report, exit);
            if fail_on.contains(&(exit as u8)) { Beat::Failure(words) } else { Beat::Success(words) }
        }
        Err(error) => {
            let exit = exit_of_error(error);
            Beat::Failure(format!("exit code {}: {error:#}\n", exit as u8))
        }
    }
}

/// The night in a few lines.
fn words(report: &NightReport, exit: Exit) -> String {
    let mut words = format!("{}: {}\nexit code {}", report.as_of, report.summary(), exit as u8);
    words.push_str(match exit {
        Exit::Partial => ": something was left without a sound decision, or is not as decided\n",
        Exit::FollowUpPending => ": all is decided, and something is still to be done\n",
        _ => "\n",
    });
    for incident in &report.incidents {
        words.push_str(&format!("not as decided: {incident}\n"));
    }
    for line in &report.unfinished {
        words.push_str(&format!("still to be done: {line}\n"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ControlError;

    fn night(unfinished: &[&str]) -> anyhow::Result<NightReport> {
        Ok(NightReport {
            schema_version: 1,
            as_of: jiff::civil::date(2026, 3, 30),
            run: None,
            at: "2026-03-31T02:00:00Z".parse().unwrap(),
            experiments: vec![],
            resumed: vec![],
            moved: vec![],
            unfinished: unfinished.iter().map(|line| (*line).to_owned()).collect(),
            incidents: vec![],
        })
    }

    #[test]
    fn a_night_that_is_over_is_a_success_unless_its_code_is_to_fail() {
        let quiet = "2026-03-30: nothing new\nexit code 0\n".to_owned();
        assert_eq!(last_beat(&night(&[]), &[3, 4]), Beat::Success(quiet));
        let waits = "2026-03-30: nothing new\nexit code 4: all is decided, and something is still to be done\n\
                     still to be done: send the mail\n";
        assert_eq!(last_beat(&night(&["send the mail"]), &[]), Beat::Success(waits.to_owned()));
        assert_eq!(last_beat(&night(&["send the mail"]), &[4]), Beat::Failure(waits.to_owned()));
    }

    #[test]
    fn a_night_that_is_not_over_is_a_failure_with_its_reason() {
        let stopped = anyhow::Error::new(NightError::Stopped);
        let Beat::Failure(words) = last_beat(&Err(stopped), &[]) else { panic!("a failure") };
        assert!(words.starts_with("exit code 1: stopped before it was over"), "{words}");
        let held = ControlError::LeaseHeld { holder: "other".into(), until: "2026-03-31T02:05:00Z".into() };
        let Beat::Failure(words) = last_beat(&Err(NightError::Control(held).into()), &[]) else { panic!("a failure") };
        assert!(words.starts_with("exit code 75: "), "{words}");
    }
}
