//! Many runs on many threads, with the same result as on one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::draw;
use super::run::Runner;
use super::tally::Tally;
use super::trial::Trial;

/// Runs that are tallied together. Sums of numbers depend on their order; blocks have one.
const BLOCK: u64 = 250;

/// Runs a trial `runs` times. The result depends on `seed` alone, not on `threads`. `progress` is told of runs done.
pub fn simulate(trial: &Trial, runs: u64, seed: u64, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Tally {
    let blocks = runs.div_ceil(BLOCK);
    let next = AtomicU64::new(0);
    let done: Mutex<Vec<(u64, Tally)>> = Mutex::new(Vec::with_capacity(blocks as usize));
    let work = || {
        let mut runner = Runner::new(trial);
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                break;
            }
            let range = block * BLOCK..((block + 1) * BLOCK).min(runs);
            let count = range.end - range.start;
            let mut tally = Tally::new(trial.nights());
            for run in range {
                runner.run(&mut draw::chance(seed, run), &mut tally);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((block, tally));
            progress(count);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(block, _)| *block);
    let mut whole = Tally::new(trial.nights());
    done.iter().for_each(|(_, tally)| whole.join(tally));
    whole
}
