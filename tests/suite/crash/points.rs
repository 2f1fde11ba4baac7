//! Which kills to try: at marks that tell two states apart, and at random.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::shim::{Mark, Moment, Point};
use super::trial::{Kill, Kills};

/// Points that leave the world in different states: around every sync, truncation, renaming and removal, around and in
/// the middle of everything said to a server, and in each run of writes to one file. Of those writes, none counts before the
/// sync that follows, so each run of them gives four points only: before, in the first, in the middle, and after the last.
pub fn telling(marks: &[Mark]) -> BTreeSet<Point> {
    let mut points = BTreeSet::new();
    let marks: Vec<Mark> = marks.iter().filter(|mark| !is_scratch(mark)).cloned().collect();
    for group in marks.chunk_by(|a, b| is_file_write(a) && is_file_write(b) && a.place == b.place) {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        points.insert(Point { mark: first.number, moment: Moment::Before });
        points.insert(Point { mark: last.number, moment: Moment::After });
        if first.puts_bytes() {
            points.insert(Point { mark: first.number, moment: Moment::Half });
        }
        if group.len() > 2 {
            points.insert(Point { mark: group[group.len() / 2].number, moment: Moment::Before });
        }
    }
    points
}

/// Before and in the middle of every mark, and right after what is said to a server. After a write to a file is before the
/// next mark.
pub fn every(marks: &[Mark]) -> BTreeSet<Point> {
    let marks = marks.iter().filter(|mark| !is_scratch(mark));
    marks.flat_map(|mark| moments(mark).map(|moment| Point { mark: mark.number, moment })).collect()
}

/// As [`every`] where a program hears it that keeps what it hears, and at each end of a transaction; of PostgreSQL's other
/// statements, which are undone with their transaction, each fifth one. `store` is PostgreSQL, as marks name it.
pub fn heard(marks: &[Mark], store: &str) -> BTreeSet<Point> {
    // A message "S" alone asks whether the connection still lives.
    let said: Vec<&Mark> =
        marks.iter().filter(|mark| mark.place != store || !mark.begins.starts_with("S____")).collect();
    let chosen = said
        .iter()
        .enumerate()
        .filter(|(nth, mark)| mark.place != store || mark.begins.contains("COMMIT") || nth % 5 == 0);
    chosen.flat_map(|(_, mark)| moments(mark).map(|moment| Point { mark: mark.number, moment })).collect()
}

fn moments(mark: &Mark) -> impl Iterator<Item = Moment> {
    let (bytes, said) = (mark.puts_bytes(), mark.is_said());
    [Moment::Before, Moment::Half, Moment::After].into_iter().filter(move |moment| match moment {
        Moment::Before => true,
        Moment::Half => bytes,
        Moment::After => said,
    })
}

/// SQLite's files for sorting, which have no name once they are open.
fn is_scratch(mark: &Mark) -> bool {
    mark.place.contains("/etilqs_")
}

fn is_file_write(mark: &Mark) -> bool {
    mark.puts_bytes() && !mark.is_said()
}

/// Two runs: how the first and the one after the split has settled can be killed.
pub struct Runs {
    /// How many marks each leaves.
    pub marks: [usize; 2],
    /// How long each takes.
    pub last: [Duration; 2],
}

impl Runs {
    /// `count` random kills, half of them at a mark and half at an instant; four of five in the first run, and one of four
    /// of its successor as well. The same seed gives the same kills.
    pub fn random(&self, count: usize, seed: u64) -> Vec<Kills> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let kills = (0..count).map(|nth| {
            let run = usize::from(nth % 5 == 4);
            let mut kills = vec![self.one(run, nth % 2 == 0, &mut rng)];
            // No third: by then the split would have settled, and the second sweep not have waited.
            if rng.random::<f64>() < 0.25 {
                let at_mark = rng.random::<f64>() < 0.5;
                kills.push(self.one(run, at_mark, &mut rng));
            }
            match run {
                0 => Kills { night: kills, settled: Vec::new() },
                _ => Kills { night: Vec::new(), settled: kills },
            }
        });
        kills.collect()
    }

    fn one(&self, run: usize, at_mark: bool, rng: &mut impl Rng) -> Kill {
        if at_mark {
            let moment = [Moment::Before, Moment::Half, Moment::After][rng.random_range(0..3)];
            return Kill::At(Point { mark: rng.random_range(1..=self.marks[run]), moment });
        }
        Kill::In(self.last[run].mul_f64(rng.random::<f64>()))
    }
}
