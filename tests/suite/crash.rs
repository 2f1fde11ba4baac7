//! A night may be killed at any instant and run again: nothing is lost, and nothing is done twice.
//!
//! The installed program lives through a night in which one experiment is rolled back, one ramped and one promoted, and
//! through the run that sweeps late units once the split has settled. It is killed at chosen marks ([`shim`]) and at
//! random instants, run again until it is done, and compared with the night that nobody disturbed: every table by its rows,
//! the registry's tags and aliases, the pages, and the mailbox ([`state`]). What a kill may change is masked: the names and
//! times of runs, and the hashes over them; that each hash holds the one before is checked instead.
//!
//! A mail may come twice for one reason only: the run died after the mail server had taken it and before that was noted.
//! [`trial`] counts such runs from the journal, and the mails must agree with that count and be the same, Message-ID and all.
//!
//! SQLite's marks are tried one by one, but for the writes between two syncs, which come to nothing without the second. Of
//! PostgreSQL's statements every eighth is tried, and every end of a transaction; of what is said to the registry and the
//! mail server, everything. `RAMPKEEPER_CRASH=full` tries every statement as well, and 500 random kills instead of 80.

pub mod embedded_site;
pub mod eve;
mod points;
pub mod server_site;
pub mod shim;
pub mod state;
pub mod trial;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use self::embedded_site::{EmbeddedSite, Eve};
use self::points::{Runs, every, heard, telling};
use self::server_site::ServerSite;
use self::shim::{Mark, Point};
use self::trial::{Kill, Kills, Site, Wanted, trial, undisturbed};

/// Whether everything is to be tried.
fn full() -> bool {
    std::env::var("RAMPKEEPER_CRASH").is_ok_and(|value| value == "full")
}

/// What the two runs of an undisturbed night do, in their order.
struct Course {
    marks: [Vec<Mark>; 2],
    last: [Duration; 2],
}

impl Course {
    async fn of(site: &impl Site) -> Course {
        let folder = tempfile::tempdir().expect("a folder");
        site.restore().await;
        let first = Self::run(site, eve::next_run(0), &folder.path().join("first")).await;
        site.late_units().await;
        let second = Self::run(site, eve::settled_run(1), &folder.path().join("second")).await;
        Course { marks: [first.0, second.0], last: [first.1, second.1] }
    }

    async fn run(site: &impl Site, now: jiff::Timestamp, file: &std::path::Path) -> (Vec<Mark>, Duration) {
        let mut command = site.night(now);
        shim::trace(&mut command, file);
        let began = Instant::now();
        let output = command.output().await.expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        (shim::marks(file), began.elapsed())
    }

    /// A trial for each point in either run.
    fn at(&self, points: impl Fn(&[Mark]) -> BTreeSet<Point>) -> Vec<Kills> {
        let night =
            points(&self.marks[0]).into_iter().map(|point| Kills { night: vec![Kill::At(point)], settled: vec![] });
        let settled =
            points(&self.marks[1]).into_iter().map(|point| Kills { night: vec![], settled: vec![Kill::At(point)] });
        night.chain(settled).collect()
    }

    fn random(&self, count: usize) -> Vec<Kills> {
        Runs { marks: [self.marks[0].len(), self.marks[1].len()], last: self.last }.random(count, 20260304)
    }
}

/// Tries all these kills, one after the other at each of two sites, and tells what came of them.
async fn sweep<S: Site>(name: &str, sites: &[(S, Wanted); 2], kills: Vec<Kills>) {
    let began = Instant::now();
    let (trials, queue) = (kills.len(), Mutex::new(kills));
    let work = async |(site, wanted): &(S, Wanted)| {
        let (mut killed, mut twice) = (0, 0);
        loop {
            let next = queue.lock().expect("no panic under the lock").pop();
            let Some(kills) = next else { return (killed, twice) };
            let came = trial(site, &kills, wanted).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
            killed += came.killed;
            twice += came.twice;
        }
    };
    let (one, other) = tokio::join!(work(&sites[0]), work(&sites[1]));
    let (killed, twice) = (one.0 + other.0, one.1 + other.1);
    println!("{name}: {trials} trials, {killed} runs killed, {twice} mails twice, {:.0?}", began.elapsed());
    assert!(killed * 10 >= trials * 7, "only {killed} of {trials} trials killed a run");
}

/// A site, and what its night leaves behind when nobody disturbs it.
async fn with_wanted<S: Site>(site: S) -> (S, Wanted) {
    let wanted = undisturbed(&site).await;
    (site, wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_sqlite_survives_every_kill() {
    let eve = Eve::new().await;
    let sites = [with_wanted(EmbeddedSite::new(&eve).await).await, with_wanted(EmbeddedSite::new(&eve).await).await];
    let course = Course::of(&sites[0].0).await;
    sweep("SQLite, chosen marks", &sites, course.at(telling)).await;
    sweep("SQLite, random", &sites, course.random(500)).await;
}

/// A version that the night lets in comes in once: its judgement, the variant, the others' shares, the epoch, the mark and
/// the alias in the registry, and the sentence in the mail.
#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_survives_every_kill() {
    let eve = Eve::enrolling().await;
    let sites = [with_wanted(EmbeddedSite::new(&eve).await).await, with_wanted(EmbeddedSite::new(&eve).await).await];
    let Wanted { state, mails } = &sites[0].1;
    for once in ["rampkeeper_qualifications", "rampkeeper_enrolments"] {
        assert_eq!(state[once].lines().count(), 1, "{}", state[once]);
    }
    assert_eq!(state["exp_variants"].matches("arriving policy_v2").count(), 1, "{}", state["exp_variants"]);
    assert!(state["rampkeeper_registry_tags"].contains("candidate"), "{}", state["rampkeeper_registry_tags"]);
    assert!(state["rampkeeper_registry_aliases"].contains("challenger"), "{}", state["rampkeeper_registry_aliases"]);
    assert_eq!(mails.values().filter(|mail| mail.contains("enrolled by the night: arriving policy/2")).count(), 1);
    let page = &state["experiments/arriving.html"];
    assert!(page.contains("came in") && page.contains(", let in by the night"), "{page}");
    let course = Course::of(&sites[0].0).await;
    sweep("SQLite, an enrolment", &sites, course.at(telling)).await;
}

/// A disk that fills up while the night writes: what was committed stands, the rest waits for room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let eve = Eve::new().await;
    let sites = [
        with_wanted(EmbeddedSite::with_mail_files(&eve).await).await,
        with_wanted(EmbeddedSite::with_mail_files(&eve).await).await,
    ];
    let course = Course::of(&sites[0].0).await;
    let store = |marks: &[Mark]| {
        let of_store: Vec<Mark> = marks.iter().filter(|mark| mark.place.contains("control.db")).cloned().collect();
        telling(&of_store)
    };
    let mut kills: Vec<Kills> = course.at(store).into_iter().map(|kills| kills.as_full("/control.db")).collect();
    kills.dedup();
    let kills = kills.into_iter().step_by(if full() { 1 } else { 3 }).collect();
    sweep("SQLite, disk full", &sites, kills).await;
}

/// A mail's file is whole or not there. An unfinished file beside it may stay; its name is none of a mail.
#[tokio::test(flavor = "multi_thread")]
async fn mails_as_files_survive_every_kill() {
    let eve = Eve::new().await;
    let sites = [
        with_wanted(EmbeddedSite::with_mail_files(&eve).await).await,
        with_wanted(EmbeddedSite::with_mail_files(&eve).await).await,
    ];
    let mails: Vec<_> = sites[0].1.state.iter().filter(|(_, text)| *text == "whole: true").collect();
    assert_eq!(mails.len(), 3, "the digest, and one mail of each action: {mails:?}");
    let course = Course::of(&sites[0].0).await;
    let chosen = course.at(|marks| {
        let of_mails: Vec<Mark> = marks.iter().filter(|mark| mark.place.contains("/mails")).cloned().collect();
        every(&of_mails)
    });
    assert!(chosen.len() >= 5, "{chosen:?}");
    sweep("mails as files", &sites, chosen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_on_servers_survives_every_kill() {
    let sites = [with_wanted(ServerSite::new("a").await).await, with_wanted(ServerSite::new("b").await).await];
    let course = Course::of(&sites[0].0).await;
    let store = sites[0].0.store();
    let chosen = course.at(|marks| if full() { every(marks) } else { heard(marks, &store) });
    sweep("PostgreSQL, chosen marks", &sites, chosen).await;
    sweep("PostgreSQL, random", &sites, course.random(if full() { 500 } else { 80 })).await;
}
