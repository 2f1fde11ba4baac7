//! The way into an experiment: the offline gate and the enrolment, by a person's hand or by the night's.
//!
//! The night lets a version in only where nothing speaks against it. What does is told once, and nothing is set aside.

mod enrol;
mod gate;
mod nightly;
mod notes;
mod told;

pub(super) use enrol::BY_NIGHT;
pub use enrol::ByHandOf;
pub(super) use nightly::Route;
pub use told::{EnrolReport, QualifiedVersion, QualifyReport};

use tokio::sync::Mutex;

use super::Night;
use super::error::NightError;
use crate::control::Run;

impl Night<'_> {
    /// Carries out what is due after something that somebody did, and says what is left.
    async fn follow_up(&self, run: Run, sending: &Mutex<()>) -> Result<Vec<String>, NightError> {
        let mut applier = self.applier(run, sending);
        applier.apply_pending().await?;
        Ok(applier.unfinished())
    }
}
