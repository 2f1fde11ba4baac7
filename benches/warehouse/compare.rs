//! Runs what is compared, round by round and each time in a fresh process, and prints the ratios.
//!
//! On a machine that others share, seconds drift by half within the hour while ratios of runs that lie next to each other
//! stay. So every round runs everything once, each round beginning with the next one, and the medians of the rounds'
//! ratios are what counts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

/// What is measured.
pub struct Contest {
    pub title: String,
    /// What each round runs.
    pub entries: Vec<Entry>,
    /// The places of those of which the better is the measure.
    pub measure: Vec<usize>,
    pub rounds: usize,
}

pub struct Entry {
    pub label: &'static str,
    pub command: Vec<String>,
    /// Whether it writes its moments with `--out`, to be held against the first entry's that does. Those of other
    /// cohorts have another number.
    pub moments: Option<u8>,
}

#[derive(Clone, Copy)]
struct Run {
    seconds: f64,
    peak_mib: f64,
}

impl Contest {
    /// Checks that all come to the same, and prints a line for each.
    pub fn hold(&self) -> anyhow::Result<()> {
        self.check()?;
        let mut runs: Vec<Vec<Run>> = self.entries.iter().map(|_| Vec::new()).collect();
        for round in 0..=self.rounds {
            for turn in 0..self.entries.len() {
                let place = (turn + round) % self.entries.len();
                let run = run(&self.entries[place].command)?;
                // The first round fills the caches.
                if round > 0 {
                    runs[place].push(run);
                }
            }
        }
        println!("\n{} ({} rounds)", self.title, self.rounds);
        println!("{:<44} {:>9} {:>7} {:>15} {:>9}", "", "seconds", "ratio", "least - most", "peak MiB");
        for (entry, own) in self.entries.iter().zip(&runs) {
            let seconds = |run: &Run| run.seconds;
            let ratios: Vec<f64> = (0..self.rounds)
                .map(|round| {
                    let best = self.measure.iter().map(|place| runs[*place][round].seconds);
                    own[round].seconds / best.fold(f64::INFINITY, f64::min)
                })
                .collect();
            let peak = own.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
            println!(
                "{:<44} {:>9.3} {:>7.3} {:>7.3} - {:>5.3} {:>9.0}",
                entry.label,
                median(own.iter().map(seconds).collect()),
                median(ratios.clone()),
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
                peak
            );
        }
        Ok(())
    }

    /// All entries of a number give the same moments to 1e-9.
    fn check(&self) -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("rampkeeper-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut first: Vec<(u8, &str, PathBuf)> = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let Some(number) = entry.moments else { continue };
            let out = folder.join(format!("{place}.csv"));
            let mut command = entry.command.clone();
            command.extend(["--out".to_owned(), out.display().to_string()]);
            run(&command)?;
            match first.iter().find(|(known, ..)| *known == number) {
                Some((_, label, path)) => {
                    let same = same_moments(path, &out)?;
                    println!("{} = {label}: {same} moments within 1e-9", entry.label);
                }
                None => first.push((number, entry.label, out)),
            }
        }
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    }
}

/// How many lines agree; an error if one does not.
fn same_moments(a: &Path, b: &Path) -> anyhow::Result<usize> {
    let (a, b) = (std::fs::read_to_string(a)?, std::fs::read_to_string(b)?);
    let mut count = 0;
    ensure!(a.lines().count() == b.lines().count(), "{} lines and {}", a.lines().count(), b.lines().count());
    for (a, b) in a.lines().zip(b.lines()) {
        let (a, b): (Vec<&str>, Vec<&str>) = (a.split(',').collect(), b.split(',').collect());
        ensure!(a.len() == 11 && b.len() == 11 && a[..6] == b[..6], "{a:?} and {b:?}");
        let number = |text: &str| text.parse::<f64>().with_context(|| format!("{text:?} is no number"));
        // A centred product may be nothing beside the squares that it is made of.
        let scale = (number(a[7])? * number(a[9])?).sqrt();
        for place in 6..11 {
            let (x, y) = (number(a[place])?, number(b[place])?);
            let size = if place == 10 { scale } else { x.abs().max(y.abs()) };
            ensure!((x - y).abs() <= 1e-9 * size + 1e-12, "{a:?} and {b:?}");
        }
        count += 1;
    }
    Ok(count)
}

fn run(command: &[String]) -> anyhow::Result<Run> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let begun = Instant::now();
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("could not start {program}"))?;
    let seconds = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let peak = said.split_whitespace().skip_while(|word| *word != "peak_mib").nth(1);
    Ok(Run { seconds, peak_mib: peak.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN) })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => (numbers[middle - 1] + numbers[middle]) / 2.0,
        _ => numbers[middle],
    }
}

/// What this machine is.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |name: &str| cpuinfo.lines().find_map(|line| line.strip_prefix(name)?.split_once(": ")).map(|(_, v)| v);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let model = field("model name").unwrap_or("unknown processor");
    format!("{cores} cores of {model}, {} GiB", memory.unwrap_or(0) >> 20)
}
