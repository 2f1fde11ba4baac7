//! The clockwork of `serve`: tokio-cron-scheduler calls the night; SIGTERM and SIGINT end it after the night at hand, or
//! break that off where it takes too long.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// How long a night at work may go on after the signal. With what breaking it off takes, this stays within the half
/// minute that service managers usually grant.
const FINISH_WITHIN: Duration = Duration::from_secs(12);

/// Tells a night that it is to break off.
#[derive(Clone, Debug)]
pub struct BreakOff(watch::Receiver<bool>);

impl BreakOff {
    /// Waits until the night is to break off, which may be never.
    pub async fn wait(mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Who could have asked is gone.
            std::future::pending::<()>().await;
        }
    }
}

/// Why the schedule cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// No such time zone.
    #[error("{0:?} is no IANA time zone; write one such as Europe/Berlin")]
    TimeZone(String),
    /// The scheduler refused or failed.
    #[error("could not keep the schedule {cron:?}")]
    Scheduler {
        /// The cron expression.
        cron: String,
        /// Why.
        source: JobSchedulerError,
    },
    /// Signals cannot be heard.
    #[error("could not listen for SIGTERM")]
    Signal(#[source] std::io::Error),
}

/// The next times that a cron expression (with seconds) names in that time zone, after a moment, `count` at most.
pub fn next_runs(cron: &str, timezone: &str, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, ScheduleError> {
    let failed = || ScheduleError::Scheduler { cron: cron.to_owned(), source: JobSchedulerError::ParseSchedule };
    let zone: chrono_tz::Tz = timezone.parse().map_err(|_| ScheduleError::TimeZone(timezone.to_owned()))?;
    // Read as the scheduler reads it.
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    let parsed = parser.parse(cron).map_err(|_| failed())?;
    let after = chrono::DateTime::from_timestamp(after.as_second(), 0).ok_or_else(failed)?.with_timezone(&zone);
    let runs = parsed.iter_after(after).take(count).filter_map(|at| Timestamp::from_second(at.timestamp()).ok());
    Ok(runs.collect())
}

/// Calls `night` by the cron expression (with seconds) in that time zone until SIGTERM or SIGINT. Two nights never run
/// at once: one that comes due while another is at work is left out. A night at work is waited for, for twelve seconds;
/// then its [`BreakOff`] ends, and it must, too.
pub async fn run<F, N>(cron: &str, timezone: &str, night: F) -> Result<(), ScheduleError>
where
    F: Fn(BreakOff) -> N + Send + Sync + 'static,
    N: Future<Output = ()> + Send + 'static,
{
    let failed = |source| ScheduleError::Scheduler { cron: cron.to_owned(), source };
    let zone: chrono_tz::Tz = timezone.parse().map_err(|_| ScheduleError::TimeZone(timezone.to_owned()))?;
    let at_work = Arc::new(Mutex::new(()));
    let (ask, asked) = watch::channel(false);
    let break_off = BreakOff(asked);
    let night = Arc::new(night);
    let busy = Arc::clone(&at_work);
    let job = Job::new_async_tz(cron, zone, move |_, _| {
        let (night, busy, break_off) = (Arc::clone(&night), Arc::clone(&busy), break_off.clone());
        Box::pin(async move {
            let Ok(_guard) = busy.try_lock() else {
                tracing::warn!("a night came due while another is at work; it is left out");
                return;
            };
            night(break_off).await;
        })
    })
    .map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ScheduleError::Signal)?;
    let mut scheduler = JobScheduler::new().await.map_err(failed)?;
    let id = scheduler.add(job).await.map_err(failed)?;
    scheduler.start().await.map_err(failed)?;
    let next = scheduler.next_tick_for_job(id).await.ok().flatten();
    tracing::info!(cron, timezone, next = next.map(|at| at.to_rfc3339()), "waiting for the next night");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping after the night at hand"),
        result = tokio::signal::ctrl_c() => {
            result.map_err(ScheduleError::Signal)?;
            tracing::info!("SIGINT: stopping after the night at hand");
        }
    }
    scheduler.shutdown().await.map_err(failed)?;
    // The scheduler does not wait for a job at work.
    if timeout(FINISH_WITHIN, at_work.lock()).await.is_err() {
        tracing::warn!(
            "the night at hand is not over within {FINISH_WITHIN:?}: it is broken off, the next one goes on"
        );
        ask.send_replace(true);
        let _broken_off = at_work.lock().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(cron: &str, timezone: &str, after: &str) -> Vec<String> {
        let runs = next_runs(cron, timezone, after.parse().unwrap(), 3).unwrap();
        runs.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_next_runs_follow_the_clocks_of_their_zone() {
        assert_eq!(
            runs("0 30 2 * * *", "UTC", "2026-03-28T02:30:00Z"),
            ["2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z", "2026-03-31T02:30:00Z"]
        );
        // On 29 March 2026 the clocks of Berlin go from 2 to 3 in the morning.
        assert_eq!(
            runs("0 0 5 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z"),
            ["2026-03-28T04:00:00Z", "2026-03-29T03:00:00Z", "2026-03-30T03:00:00Z"]
        );
        assert!(next_runs("nightly", "UTC", Timestamp::UNIX_EPOCH, 3).is_err());
        assert!(next_runs("0 0 5 * * *", "Mars/Olympus", Timestamp::UNIX_EPOCH, 3).is_err());
    }
}
