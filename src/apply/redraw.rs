//! Control's units, drawn anew for a ramp, counted, and told.

use super::error::ActionError;
use super::incidents::Words;
use super::step::{End, SWEEPS, StepRun};
use crate::control::Redrawing;
use crate::domain::ExperimentId;
use crate::plan::Redraw;

impl StepRun<'_> {
    /// Draws the pool until none of its units is left undrawn, and counts what each arm got.
    ///
    /// No second sweep follows: units that came after the decision were assigned by the new split already, and are none
    /// of the pool.
    pub(super) async fn redraw(
        &self,
        experiment: ExperimentId,
        name: &str,
        redraw: &Redraw,
    ) -> Result<End, ActionError> {
        let control = self.applier.control;
        let mut left = 0;
        for _ in 0..SWEEPS {
            let end = control.redraw(self.key, experiment, redraw, || self.applier.clock()).await?;
            left = control.units_on(experiment, redraw.from, redraw.assigned_before).await?;
            if left == 0 {
                self.tell_redraw(experiment, name, redraw).await?;
                return Ok(End::Done);
            }
            if end == Redrawing::Overtaken {
                let words = Words {
                    what: format!("the units on {name}/{} that are still to be drawn anew", redraw.from_name),
                    expected: "0, before the split changes again".to_owned(),
                    found: left.to_string(),
                    advice: "the split was changed before they were drawn, so they stay where they are; the next ramp \
                             draws them again"
                        .to_owned(),
                };
                return self.left_alone(words, None).await;
            }
        }
        let what = format!("the units on {name}/{} that are still to be drawn anew", redraw.from_name);
        let words = Words {
            what: what.clone(),
            expected: "0".to_owned(),
            found: left.to_string(),
            advice: "they were drawn and are there all the same: look for a trigger or a program that writes \
                     exp.assignments; the next run tries again"
                .to_owned(),
        };
        self.applier.note(self.decision, Some(self.key), words, None).await?;
        Ok(End::Again(format!("{what} are {left}, not 0, after a sweep")))
    }

    /// Tells how many units were drawn, and how the arms stand beside the plan now.
    async fn tell_redraw(&self, experiment: ExperimentId, name: &str, redraw: &Redraw) -> Result<(), ActionError> {
        let control = self.applier.control;
        let drawn = control.redrawn_units(self.key).await?;
        let arms = control.units_by_variant(experiment).await?;
        let (pool, all): (u64, u64) = (drawn.values().sum(), arms.values().sum());
        let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
        let parts = redraw.to.iter().map(|to| {
            let moved = drawn.get(&to.variant).copied().unwrap_or(0);
            let has = arms.get(&to.variant).copied().unwrap_or(0);
            format!(
                "{moved} moved to {} ({:.2} %, planned {:.2} %), which now has {:.2} % of all units",
                to.name,
                percent(moved, pool),
                100.0 * redraw.part(to),
                percent(has, all)
            )
        });
        let parts: Vec<String> = parts.collect();
        let told = format!("{name}: {pool} units of {} were drawn anew; {}", redraw.from_name, parts.join("; "));
        tracing::info!(action = self.key, "{told}");
        self.applier.tell_moved(told);
        Ok(())
    }
}
