//! What many runs came to, with the error that chance leaves in it.

/// Sums over runs. Counts by night have the night's number as index; index 0 stays empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many runs.
    pub runs: u64,
    /// Runs that were rolled back, by night.
    pub rollbacks: Vec<u64>,
    /// Runs that were promoted, by night.
    pub promotions: Vec<u64>,
    /// Runs in which every guardrail was shown safe, by the first such night on which promotion may be decided.
    pub shown_safe: Vec<u64>,
    /// Runs whose split was called mismatched, by the first such night.
    pub mismatches: Vec<u64>,
    /// Runs in which the first guardrail, compared without strata, was called harmful, by the first such night.
    pub pooled_harms: Vec<u64>,
    /// Units exposed to the candidate, up to the last night followed.
    pub exposed_units: u64,
    /// The first guardrail's estimated lift at the end of a run.
    pub effect: Spread,
    /// The same estimated without strata.
    pub pooled_effect: Spread,
}

/// Sum and sum of squares of a number per run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    count: u64,
    sum: f64,
    squares: f64,
}

/// A share of runs with its Monte-Carlo standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The share.
    pub share: f64,
    /// Its standard error.
    pub error: f64,
}

impl Rate {
    /// `count` of `runs`. The error of an empty or full count is that of one run more or less, never nothing.
    pub fn of(count: u64, runs: u64) -> Rate {
        let runs = runs.max(1) as f64;
        let share = count as f64 / runs;
        let smoothed = (count as f64 + 1.0) / (runs + 2.0);
        Rate { share, error: (smoothed * (1.0 - smoothed) / runs).sqrt() }
    }
}

impl Spread {
    /// Takes one number in.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn join(&mut self, other: &Spread) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The mean and its standard error; none without numbers.
    pub fn mean(&self) -> Option<(f64, f64)> {
        let count = self.count as f64;
        let mean = self.sum / count;
        let variance = (self.squares / count - mean * mean).max(0.0);
        (self.count > 0).then(|| (mean, (variance / count).sqrt()))
    }
}

impl Tally {
    pub(super) fn new(nights: u32) -> Tally {
        let by_night = vec![0; nights as usize + 1];
        Tally {
            rollbacks: by_night.clone(),
            promotions: by_night.clone(),
            shown_safe: by_night.clone(),
            mismatches: by_night.clone(),
            pooled_harms: by_night,
            ..Tally::default()
        }
    }

    pub(super) fn join(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.rollbacks, &other.rollbacks),
            (&mut self.promotions, &other.promotions),
            (&mut self.shown_safe, &other.shown_safe),
            (&mut self.mismatches, &other.mismatches),
            (&mut self.pooled_harms, &other.pooled_harms),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.runs += other.runs;
        self.exposed_units += other.exposed_units;
        self.effect.join(&other.effect);
        self.pooled_effect.join(&other.pooled_effect);
    }

    /// The share of runs of a count by night.
    pub fn rate(&self, by_night: &[u64]) -> Rate {
        Rate::of(by_night.iter().sum(), self.runs)
    }

    /// The share of runs that were neither rolled back nor promoted.
    pub fn held(&self) -> Rate {
        let ended: u64 = self.rollbacks.iter().chain(&self.promotions).sum();
        Rate::of(self.runs.saturating_sub(ended), self.runs)
    }

    /// The night by which half of all runs are in the count; none if fewer than half ever are.
    pub fn median(&self, by_night: &[u64]) -> Option<u32> {
        let mut so_far = 0;
        by_night.iter().zip(0u32..).find_map(|(count, night)| {
            so_far += count;
            (*count > 0 && 2 * so_far >= self.runs).then_some(night)
        })
    }

    /// Units exposed to the candidate per run.
    pub fn exposed_per_run(&self) -> f64 {
        self.exposed_units as f64 / self.runs.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_wants_half_of_all_runs() {
        let tally = Tally { runs: 10, rollbacks: vec![0, 2, 0, 3, 1], promotions: vec![0, 0, 4], ..Tally::default() };
        assert_eq!(tally.median(&tally.rollbacks), Some(3));
        assert_eq!(tally.median(&tally.promotions), None);
        assert_eq!(tally.held().share, 0.0);
    }

    #[test]
    fn what_was_never_seen_is_not_known_to_be_impossible() {
        let rate = Rate::of(0, 1000);
        assert!(rate.share == 0.0 && rate.error > 0.0005);
    }
}
