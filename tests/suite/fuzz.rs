//! Configuration files and variants' configs that nobody would write: none may crash the program, take long, or be refused
//! without saying where.
//!
//! Inputs are the examples and the files of `tests/suite/fuzz/`, changed by [`mutate`] in ways that keep most of their
//! structure. The same cases are tried every time. `RAMPKEEPER_FUZZ_SECONDS=600` tries others instead, for so long; the
//! seed that it prints, as `RAMPKEEPER_FUZZ_SEED`, brings them back.

mod mutate;
mod tricky;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestCaseResult, TestError, TestRng, TestRunner};
use rampkeeper::config;
use rampkeeper::domain::{Freeze, VariantConfig};
use tempfile::TempDir;

use self::mutate::{Change, apply, changes};
use crate::embedded::{program, told};

/// No input may keep the program busy for longer, on a machine that is busy itself.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest message of a fault, in characters: it stands in a line of a log.
const LONGEST_MESSAGE: usize = 2_500;

/// How often the random cases are tried unless a time is given: runs of so many cases.
const CASES: u32 = 64;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fuzz").join(name)
}

fn files_of(kind: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = corpus(kind).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs of cases, the same each time, or others for as long as the environment says. Tells how many there were.
fn fuzz<S: Strategy>(name: &str, runs: u64, cases: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("RAMPKEEPER_FUZZ_SECONDS").map(Duration::from_secs);
    // A hasher's keys are the one source of chance that needs no clock.
    let other = || seconds.map_or(0, |_| RandomState::new().build_hasher().finish());
    let seed = number("RAMPKEEPER_FUZZ_SEED").unwrap_or_else(other);
    println!("{name}: RAMPKEEPER_FUZZ_SEED={seed}");
    let began = Instant::now();
    let mut run = 0;
    while seconds.map_or(run < runs, |seconds| began.elapsed() < seconds) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&run.to_le_bytes());
        let settings = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(settings, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        match runner.run(cases, &test) {
            Ok(()) => run += 1,
            Err(TestError::Fail(why, value)) => panic!("{name}, run {run}: {why}\nin {value:?}"),
            Err(TestError::Abort(why)) => panic!("{name}, run {run}: {why}"),
        }
    }
    println!("{name}: {} inputs in {:.0?}", run * u64::from(CASES), began.elapsed());
}

// ---------------------------------------------------------------------------------------------------------------------
// Configuration

const NAMES: [&str; 3] = ["rampkeeper.yml", "metrics.yml", "promotion.yml"];

/// What the three files are, before any change.
fn examples() -> [Vec<u8>; 3] {
    let main = include_str!("../../config/rampkeeper.example.yml");
    let main = main.replace("metrics.example.yml", "metrics.yml").replace("promotion.example.yml", "promotion.yml");
    let (metrics, promotion) =
        (include_str!("../../config/metrics.example.yml"), include_str!("../../config/promotion.example.yml"));
    [main, metrics.to_owned(), promotion.to_owned()].map(String::into_bytes)
}

/// A folder for the three files. The last ones tried stay in it if the process dies.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, files: &[Vec<u8>; 3]) {
        for (name, bytes) in NAMES.iter().zip(files) {
            fs::write(self.0.path().join(name), bytes).expect("a file");
        }
    }

    /// Loads what was written, which must end in a configuration that can be used or in faults that say where.
    fn judge(&self, files: &[Vec<u8>; 3]) -> Result<Result<config::Config, Vec<String>>, String> {
        self.write(files);
        let began = Instant::now();
        let loaded = config::load(&self.0.path().join(NAMES[0]));
        let outcome = match loaded {
            Ok(config) => {
                use_it(&config);
                Ok(config)
            }
            Err(config::ConfigError(faults)) => {
                if faults.is_empty() {
                    return Err("refused without a fault".to_owned());
                }
                for fault in &faults {
                    let place = files.iter().zip(NAMES).find(|(_, name)| fault.path.ends_with(name));
                    let lines = place.map(|(bytes, _)| bytes.split(|byte| matches!(byte, b'\n' | b'\r')).count());
                    // A file that another names may not be there at all.
                    let lines = lines.unwrap_or(1);
                    if fault.line < 1 || fault.line > lines + 1 || fault.column < 1 {
                        return Err(format!("{}:{} of {lines} lines: {fault}", fault.line, fault.column));
                    }
                    let told = fault.to_string();
                    if fault.message.is_empty() || told.contains(char::is_control) {
                        return Err(format!("not one line of words: {told:?}"));
                    }
                    if told.chars().count() > LONGEST_MESSAGE {
                        let begins: String = told.chars().take(200).collect();
                        return Err(format!("{} characters: {begins}", told.chars().count()));
                    }
                }
                Err(faults.iter().map(ToString::to_string).collect())
            }
        };
        if began.elapsed() > LONGEST {
            return Err(format!("took {:?}", began.elapsed()));
        }
        Ok(outcome)
    }
}

/// What a night does with a configuration before it asks anybody.
fn use_it(config: &config::Config) {
    for experiment in ["checkout_ranker_exp", "another", ""] {
        let policy = config.policies.of(experiment);
        for now in ["2026-01-01T00:00:00Z", "2026-03-29T01:30:00Z", "2028-02-29T23:59:59Z"] {
            let now: Timestamp = now.parse().expect("a time");
            let _ = Freeze::first_at(&policy.freezes, now);
        }
    }
}

#[test]
fn no_configuration_crashes_the_program_or_is_refused_without_a_line() {
    let (examples, tricky, place) = (examples(), files_of("yaml"), Place::new());
    let cases = proptest::collection::vec((0..3usize, changes()), 1..6);
    let start = (0..4 * tricky.len(), 0..3usize);
    fuzz("configuration", 30, &(start, cases), |((nth, role), changes): ((usize, usize), Vec<(usize, Change)>)| {
        let mut files = examples.clone();
        // Of four inputs, three begin with the examples alone.
        if let Some(tricky) = tricky.get(nth) {
            files[role].clone_from(tricky);
        }
        for (file, change) in &changes {
            apply(&mut files[*file], change);
        }
        match place.judge(&files) {
            Ok(_) => Ok(()),
            Err(why) => {
                let texts = files.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                Err(TestCaseError::fail(format!("{why}\n{}", texts.collect::<Vec<_>>().join("\n=====\n"))))
            }
        }
    });
}

/// Byte order marks and Windows' line ends are how some editors write.
#[test]
fn what_editors_do_to_a_file_makes_no_difference() {
    let place = Place::new();
    let plain = place.judge(&examples()).unwrap().unwrap();
    let with_mark = examples().map(|bytes| [b"\xef\xbb\xbf".to_vec(), bytes].concat());
    let with_returns = examples().map(|bytes| String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes());
    let with_both = with_returns.clone().map(|bytes| [b"\xef\xbb\xbf".to_vec(), bytes].concat());
    for files in [with_mark, with_returns, with_both] {
        let read = place.judge(&files).unwrap().unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!(format!("{:?}", read.policies), format!("{:?}", plain.policies));
        assert_eq!(read.metrics, plain.metrics);
    }
}

/// Each tricky file as each of the three, through the program itself: a stack that overflows would end the whole process.
#[tokio::test]
async fn the_program_refuses_every_tricky_file_in_words() {
    let place = Place::new();
    for tricky in files_of("yaml").into_iter().chain(deep()) {
        for role in 0..3 {
            let mut files = examples();
            files[role].clone_from(&tricky);
            place.write(&files);
            let mut check = program(&["plan", "--config"]);
            check.arg(place.0.path().join(NAMES[0]));
            let began = Instant::now();
            let told = told(check).await;
            let begins = String::from_utf8_lossy(&tricky[..tricky.len().min(60)]).into_owned();
            assert!(began.elapsed() < LONGEST, "{begins:?} took {:?}", began.elapsed());
            assert_eq!(told.code, Some(78), "{begins:?} as {}: {}", NAMES[role], told.err);
            let place = format!("{}:", NAMES[role]);
            assert!(told.err.contains(&place), "{begins:?} as {}: {}", NAMES[role], told.err);
        }
    }
}

/// Nesting that would overflow a stack, and aliases that would fill the memory, made here for their size.
fn deep() -> Vec<Vec<u8>> {
    let lists = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let maps = |depth: usize| "{a: ".repeat(depth) + "1" + &"}".repeat(depth);
    let lines = |depth: usize| (0..depth).map(|at| format!("{}a:\n", " ".repeat(at))).collect::<String>();
    let bomb = |levels: usize| {
        let level = |at: usize| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(", "));
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned() + &(1..levels).map(level).collect::<String>()
    };
    let texts = [
        lists(100_000),
        maps(100_000),
        lines(2_000),
        "- ".repeat(50_000) + "x",
        bomb(9),
        format!("defaults: {}", lists(5_000)),
        "? ".repeat(50_000),
        "a".repeat(3 << 20),
        "&a ".repeat(50_000),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// The config of a variant

#[test]
fn no_config_of_a_variant_crashes_the_program() {
    let corpus = files_of("json");
    let cases = (0..corpus.len(), proptest::collection::vec(changes(), 0..6));
    fuzz("variant config", 1_000, &cases, |(nth, changes): (usize, Vec<Change>)| {
        let mut bytes = corpus[nth].clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Ok(()) };
        let began = Instant::now();
        let read = VariantConfig::parse(&value);
        if began.elapsed() > LONGEST {
            return Err(TestCaseError::fail(format!("took {:?}", began.elapsed())));
        }
        match read {
            // What is read once is read again, whatever stands beside it.
            Ok(config) if VariantConfig::parse(&value) == Ok(config.clone()) => Ok(()),
            Ok(config) => Err(TestCaseError::fail(format!("{config:?} is not read again from {value}"))),
            Err(error) => {
                let told = error.to_string();
                let fits = !told.is_empty() && told.chars().count() < 400 && !told.contains(char::is_control);
                if fits { Ok(()) } else { Err(TestCaseError::fail(format!("not one line of words: {told:?}"))) }
            }
        }
    });
}
