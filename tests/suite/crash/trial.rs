//! One trial: the eve of the night, the night killed, run again until it is done, and compared.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;

use super::shim::{self, Point};
use super::state::{State, difference};
use super::{eve, state};
use crate::support::smtp::Mail;

/// The place of a night: its stores, its servers, and the program over them.
pub trait Site {
    /// Puts everything back to the eve of the night.
    async fn restore(&self);
    /// The program's `run` for that night, begun at that time.
    fn night(&self, now: Timestamp) -> Command;
    /// Waits until the servers have noticed that a client of theirs is gone.
    async fn calm(&self);
    /// Gives the late units the arms that were left.
    async fn late_units(&self);
    /// Every table by its rows.
    async fn tables(&self) -> BTreeMap<String, state::Rows>;
    /// What lies outside of the tables and the mailbox.
    async fn beside(&self, runs: &[&str]) -> State;
    /// The mailbox.
    fn mails(&self) -> Vec<Mail>;
    /// The journal's keys of mails that are not noted as sent.
    async fn pending_mails(&self) -> Vec<String>;
}

/// How a run is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kill {
    /// At a mark.
    At(Point),
    /// After so long.
    In(Duration),
    /// Not killed, but from that mark on, files whose path holds this text cannot grow.
    Full(usize, &'static str),
}

/// The kills of one trial: each of these runs is killed, and the one after them is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kills {
    /// In the night.
    pub night: Vec<Kill>,
    /// In the run that sweeps late units once the split has settled.
    pub settled: Vec<Kill>,
}

impl Kills {
    /// The same points, but there a disk fills up for files whose path holds `path`.
    pub fn as_full(&self, path: &'static str) -> Kills {
        let full = |kill: &Kill| match kill {
            Kill::At(point) => Kill::Full(point.mark, path),
            other => *other,
        };
        Kills { night: self.night.iter().map(full).collect(), settled: self.settled.iter().map(full).collect() }
    }
}

/// What the undisturbed night left behind.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub state: State,
    /// What each mail says, by Message-ID.
    pub mails: BTreeMap<String, String>,
}

/// What came of a trial that ended well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Came {
    /// Runs that were killed; a point may lie beyond a run's end.
    pub killed: usize,
    /// Mails that came twice, in the one instant that SMTP leaves open.
    pub twice: usize,
}

/// No run takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command and kills it so. Gives how it ended, and what it said.
async fn killed(mut command: Command, kill: Option<Kill>) -> (ExitStatus, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    match kill {
        Some(Kill::At(point)) => shim::die_at(&mut command, point),
        Some(Kill::Full(from, path)) => shim::fill_up(&mut command, from, path),
        Some(Kill::In(_)) | None => {}
    }
    let mut child = command.spawn().expect("the program starts");
    let mut said = child.stderr.take().expect("a pipe");
    let listen = tokio::spawn(async move {
        let mut text = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut said, &mut text).await.map(|_| text)
    });
    let patience = if let Some(Kill::In(wait)) = kill { wait } else { PATIENCE };
    let status = match tokio::time::timeout(patience, child.wait()).await {
        Ok(ended) => ended.expect("a child that can be waited for"),
        Err(_) => {
            assert!(matches!(kill, Some(Kill::In(_))), "a run has not ended for {PATIENCE:?}");
            // It may have ended just now.
            let _ = child.start_kill();
            child.wait().await.expect("a child that can be waited for")
        }
    };
    let text = listen.await.expect("a listener").expect("standard error");
    (status, String::from_utf8_lossy(&text).into_owned())
}

/// A night's runs so far.
struct Life<'a, S> {
    site: &'a S,
    runs: usize,
    came: Came,
    /// Mails that were taken from a killed run and not noted.
    open: usize,
}

impl<S: Site> Life<'_, S> {
    /// Kills a run for each of `kills`, and then lets one end; `begins` is when the nth run of all begins.
    async fn go_on(&mut self, kills: &[Kill], begins: fn(usize) -> Timestamp) -> Result<(), String> {
        for kill in kills.iter().copied().map(Some).chain([None]) {
            let mails = by_id(&self.site.mails());
            let (status, said) = killed(self.site.night(begins(self.runs)), kill).await;
            self.runs += 1;
            match (status.code(), kill) {
                // Only its lease is left, which the next run finds expired.
                (Some(0), Some(Kill::Full(..))) => {}
                // Done, perhaps before it could be killed.
                (Some(0), _) => return Ok(()),
                (None, Some(Kill::At(_) | Kill::In(_))) | (Some(1 | 4), Some(Kill::Full(..))) => {
                    let full = ["database or disk is full", "disk I/O error", "No space left on device"];
                    if matches!(kill, Some(Kill::Full(..))) && !full.iter().any(|words| said.contains(words)) {
                        return Err(format!("nobody says that the disk is full:\n{said}"));
                    }
                    self.came.killed += 1;
                    self.site.calm().await;
                    let (before, now) = (mails, by_id(&self.site.mails()));
                    let taken = |key: &String| {
                        let id = format!("<{}>", key.trim_start_matches("mail/"));
                        now.get(&id) > before.get(&id)
                    };
                    self.open += self.site.pending_mails().await.iter().filter(|key| taken(key)).count();
                }
                _ => return Err(format!("run {} ended with {status}:\n{said}", self.runs)),
            }
        }
        Ok(())
    }
}

/// How often each mail came, by Message-ID.
fn by_id(mails: &[Mail]) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for mail in mails {
        *ids.entry(mail.header("Message-ID").unwrap_or_default().to_owned()).or_default() += 1;
    }
    ids
}

/// Lives through the night with these kills and reads what it left behind.
async fn lived(site: &impl Site, kills: &Kills) -> Result<(Came, Wanted), String> {
    site.restore().await;
    let mut life = Life { site, runs: 0, came: Came::default(), open: 0 };
    life.go_on(&kills.night, eve::next_run).await?;
    site.late_units().await;
    life.go_on(&kills.settled, eve::settled_run).await?;
    let Life { mut came, open, .. } = life;
    let (twice, wanted) = left_behind(site).await?;
    came.twice = twice;
    if came.twice != open {
        return Err(format!("{} mails came twice, but {open} runs died between a mail and its note", came.twice));
    }
    Ok((came, wanted))
}

/// What a night has left behind, and how many mails came twice.
pub async fn left_behind(site: &impl Site) -> Result<(usize, Wanted), String> {
    let tables = site.tables().await;
    let runs = state::runs(&tables);
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let mut state = state::of_tables(&tables)?;
    state.extend(site.beside(&runs).await);
    let (mut twice, mut mails) = (0, BTreeMap::new());
    for mail in site.mails() {
        let id = mail.header("Message-ID").unwrap_or("no Message-ID").to_owned();
        let text = state::mail(&mail, &runs);
        if let Some(before) = mails.insert(id.clone(), text.clone()) {
            twice += 1;
            if before != text {
                return Err(format!("{id} came twice, and not the same:\n{before}\n{text}"));
            }
        }
    }
    Ok((twice, Wanted { state, mails }))
}

/// The night undisturbed.
pub async fn undisturbed(site: &impl Site) -> Wanted {
    let (came, wanted) = lived(site, &Kills::default()).await.unwrap_or_else(|fault| panic!("undisturbed: {fault}"));
    assert_eq!((came.killed, came.twice), (0, 0));
    wanted
}

/// The night with these kills, which must end as the undisturbed one.
pub async fn trial(site: &impl Site, kills: &Kills, wanted: &Wanted) -> Result<Came, String> {
    let (came, found) = lived(site, kills).await.map_err(|fault| format!("{kills:?}: {fault}"))?;
    match wanted.differs_from(&found) {
        None => Ok(came),
        Some(difference) => Err(format!("{kills:?} ended otherwise:\n{difference}")),
    }
}

impl Wanted {
    /// How another night's end differs from this one.
    pub fn differs_from(&self, found: &Wanted) -> Option<String> {
        difference(&self.state, &found.state).or_else(|| difference(&self.mails, &found.mails))
    }
}
