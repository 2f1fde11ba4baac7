//! Work that runs ahead on other threads, whose results are taken in order.
//!
//! Decoding a file takes longer than adding its rows up, and sums must not depend on who was faster. So some threads
//! decode, and one adds up, part by part in the order of the days.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The most threads that work ahead.
const THREADS: usize = 4;

struct Ahead<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

struct State<R> {
    /// How many tasks were begun.
    begun: usize,
    /// How many results were taken.
    taken: usize,
    /// The weight of the tasks that were begun and whose results are not taken.
    weight: usize,
    done: BTreeMap<usize, R>,
    stopped: bool,
}

/// Hands the results of `tasks` to `take` one after another, while the next ones are worked on. What is worked on or
/// waits weighs no more than `limit`, a single task apart.
pub(super) fn ahead<T: Sync, R: Send, O>(
    tasks: &[T],
    limit: usize,
    weight: impl Fn(&T) -> usize + Sync,
    work: impl Fn(&T) -> R + Sync,
    take: impl FnOnce(&mut dyn FnMut() -> Option<R>) -> O,
) -> O {
    let state = State { begun: 0, taken: 0, weight: 0, done: BTreeMap::new(), stopped: false };
    let shared = Ahead { state: Mutex::new(state), changed: Condvar::new() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(tasks.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(place) = shared.begin(tasks, limit, &weight) {
                    shared.end(place, work(&tasks[place]));
                }
            });
        }
        // Whatever becomes of the one who takes, the others must not wait for it.
        let _stop = Stop(&shared);
        take(&mut || shared.take(tasks, &weight))
    })
}

impl<R> Ahead<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin<T>(&self, tasks: &[T], limit: usize, weight: &impl Fn(&T) -> usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let place = state.begun;
            if state.stopped || place == tasks.len() {
                return None;
            }
            let more = weight(&tasks[place]);
            if state.weight == 0 || state.weight + more <= limit {
                state.begun += 1;
                state.weight += more.max(1);
                return Some(place);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, place: usize, result: R) {
        self.lock().done.insert(place, result);
        self.changed.notify_all();
    }

    fn take<T>(&self, tasks: &[T], weight: &impl Fn(&T) -> usize) -> Option<R> {
        let mut state = self.lock();
        let place = state.taken;
        if place == tasks.len() {
            return None;
        }
        loop {
            if let Some(result) = state.done.remove(&place) {
                state.taken += 1;
                state.weight -= weight(&tasks[place]).max(1);
                self.changed.notify_all();
                return Some(result);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Stop<'a, R>(&'a Ahead<R>);

impl<R> Drop for Stop<'_, R> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_no_more_are_held_than_allowed() {
        let tasks: Vec<usize> = (0..200).map(|n| 1 + n % 7).collect();
        let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |task: &usize| {
            let now = held.fetch_add(*task, Ordering::SeqCst) + task;
            most.fetch_max(now, Ordering::SeqCst);
            *task
        };
        let taken = ahead(
            &tasks,
            10,
            |task| *task,
            work,
            |next| {
                let mut taken = Vec::new();
                while let Some(task) = next() {
                    held.fetch_sub(task, Ordering::SeqCst);
                    taken.push(task);
                }
                taken
            },
        );
        assert_eq!(taken, tasks);
        // One that was taken may still be counted here while the next is begun.
        assert!(most.load(Ordering::SeqCst) <= 17, "{most:?}");
    }

    #[test]
    fn a_taker_that_stops_early_leaves_nobody_waiting() {
        let tasks: Vec<usize> = (0..1000).collect();
        let first = ahead(&tasks, 3, |_| 1, |task| *task, |next| next());
        assert_eq!(first, Some(0));
        assert_eq!(ahead(&[], 3, |_: &usize| 1, |task| *task, |next| next()), None);
    }
}
