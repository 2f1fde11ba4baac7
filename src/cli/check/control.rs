//! The control store: what it is, how the way to it is protected, its migrations, and whether its clock agrees with ours.

use std::time::Instant;

use jiff::Timestamp;

use super::Asked;
use super::finding::{Area, Finding, in_time};
use crate::cli::address::{self, Protection};
use crate::cli::connect;
use crate::control::{ControlStore, MigrationState};
use crate::domain::Session;

const AREA: Area = Area::Control;

/// The oldest PostgreSQL that the statements are written for.
const OLDEST: u32 = 120_000;

/// Clocks further apart than this deserve a look: the lease and the settling time are measured by ours, and `now()` in the
/// experiment tables by theirs.
const APART_SECONDS: i64 = 30;

/// Clocks further apart than a lease lasts: two runs could act at once, each sure of its right.
const FAR_APART_SECONDS: i64 = 5 * 60;

/// What is to be said of the store.
pub(super) async fn findings(asked: &Asked<'_>, store: Option<&ControlStore>) -> Vec<Finding> {
    let Some(store) = store else { return Vec::new() };
    let (software, session, migrations) = tokio::join!(software(store), session(asked, store), migrations(store));
    [vec![software], session, migrations].concat()
}

async fn software(store: &ControlStore) -> Finding {
    match in_time(store.software()).await {
        Ok(software) => Finding::ok(AREA, "server", format!("{software}, {}", store.describe())),
        Err(error) => Finding::fail(AREA, "server", error, "see whether the server is well, and what its log says"),
    }
}

async fn session(asked: &Asked<'_>, store: &ControlStore) -> Vec<Finding> {
    let before = super::super::now(asked.global);
    let began = Instant::now();
    let session = match in_time(store.session()).await {
        Ok(Some(session)) => session,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let mend =
                "let the job's user read the catalogue of its database, as every user may unless it was taken away";
            return vec![Finding::fail(AREA, "session", error, mend)];
        }
    };
    // The answer was given about half-way between question and arrival.
    let here = before + jiff::SignedDuration::try_from(began.elapsed() / 2).unwrap_or_default();
    let mut findings = Vec::new();
    if session.version_number < OLDEST {
        let detail = format!("PostgreSQL {} is older than 12", session.version);
        findings.push(Finding::fail(AREA, "version", detail, "upgrade the server"));
    }
    if session.replica || session.read_only {
        let why = if session.replica { "the server is a replica" } else { "the user's transactions are read-only" };
        let mend = "name the primary server under `control`, and let its user write";
        findings.push(Finding::fail(AREA, "writing", format!("nothing can be written: {why}"), mend));
    }
    let protection = connect::control_address(asked.config).map(|address| address::protection(&address));
    findings.extend(protection.ok().map(|protection| encryption(AREA, &session, protection)));
    findings.push(match asked.global.now {
        Some(_) => Finding::ok(AREA, "clock", "not compared: --now stands in for the clock"),
        None => clock(here, session.now),
    });
    findings
}

/// How the way to a server is protected.
pub(super) fn encryption(area: Area, session: &Session, protection: Protection) -> Finding {
    let what = "encryption";
    match (session.encrypted, protection) {
        (Some(true), Protection { checked: true, .. }) => Finding::ok(area, what, "TLS, certificate checked"),
        (_, Protection { local: true, .. }) => Finding::ok(area, what, "not needed: the server is on this machine"),
        (Some(true), _) => Finding::warn(
            area,
            what,
            "TLS, but nobody checks who holds the other end",
            "leave `sslmode` out of the address (and PGSSLMODE out of the environment); give `ca_file` if the authority is your own",
        ),
        (Some(false), _) => Finding::warn(
            area,
            what,
            "none: whoever is on the way can read and change what is said",
            "switch TLS on at the server (`ssl = on`), and leave `sslmode` out of the address",
        ),
        (None, _) => Finding::ok(area, what, "the server does not tell"),
    }
}

/// Our clock beside the server's.
fn clock(here: Timestamp, there: Timestamp) -> Finding {
    let apart = there.duration_since(here).as_secs();
    let told = match apart {
        0 => "the server's clock agrees with ours to the second".to_owned(),
        1.. => format!("the server's clock is {apart} s ahead of ours"),
        _ => format!("the server's clock is {} s behind ours", -apart),
    };
    let mend = "let a time service (chrony, systemd-timesyncd, ntpd) set both clocks";
    if apart.abs() <= APART_SECONDS {
        Finding::ok(AREA, "clock", told)
    } else if apart.abs() <= FAR_APART_SECONDS {
        Finding::warn(AREA, "clock", told, mend)
    } else {
        Finding::fail(AREA, "clock", told, mend)
    }
}

async fn migrations(store: &ControlStore) -> Vec<Finding> {
    let migrations = match in_time(store.migrations()).await {
        Ok(migrations) => migrations,
        Err(error) => return vec![Finding::fail(AREA, "migrations", error, "let the user read rampkeeper.migrations")],
    };
    let with = |wanted: MigrationState| {
        let found = migrations.iter().filter(move |migration| migration.state == wanted);
        found.map(|migration| format!("{} ({})", migration.version, migration.description)).collect::<Vec<_>>()
    };
    let wrong = [
        (MigrationState::Pending, "not applied yet", "run `rampkeeper migrate`"),
        (
            MigrationState::Broken,
            "begun and not finished",
            "see the database's log for why, mend that, remove the row from rampkeeper.migrations, and run `rampkeeper migrate`",
        ),
        (
            MigrationState::Altered,
            "not those of this program",
            "use the program that made this store, or a store of its own for this one",
        ),
        (
            MigrationState::Unknown,
            "of a later version than this program",
            "upgrade this program; an older one must not act on what it does not know",
        ),
    ];
    let told = wrong.into_iter().filter_map(|(state, words, mend)| {
        let found = with(state);
        (!found.is_empty()).then(|| Finding::fail(AREA, "migrations", format!("{words}: {}", found.join(", ")), mend))
    });
    let told: Vec<Finding> = told.collect();
    match told.is_empty() {
        true => vec![Finding::ok(AREA, "migrations", format!("all {} applied", migrations.len()))],
        false => told,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn clocks_may_differ_by_half_a_minute() {
        let here: Timestamp = "2026-03-04T02:00:00Z".parse().unwrap();
        let state = |there: &str| clock(here, there.parse().unwrap()).state;
        assert_eq!(state("2026-03-04T02:00:30Z"), State::Ok);
        assert_eq!(state("2026-03-04T01:59:29Z"), State::Warn);
        assert_eq!(state("2026-03-04T02:05:00Z"), State::Warn);
        assert_eq!(state("2026-03-04T02:05:01Z"), State::Fail);
        let told = clock(here, "2026-03-04T01:00:00Z".parse().unwrap());
        assert!(told.detail.contains("3600 s behind ours") && told.mend.is_some(), "{told:?}");
    }

    fn session(encrypted: Option<bool>) -> Session {
        Session {
            user: "guard".into(),
            version: "17.2".into(),
            version_number: 170_002,
            now: Timestamp::UNIX_EPOCH,
            encrypted,
            superuser: false,
            replica: false,
            read_only: false,
            schemas: Default::default(),
            relations: Vec::new(),
        }
    }

    #[test]
    fn what_leaves_the_machine_should_be_encrypted_and_checked() {
        let of = |encrypted, local, checked| encryption(AREA, &session(encrypted), Protection { local, checked });
        assert_eq!(of(Some(false), true, false).state, State::Ok);
        assert_eq!(of(Some(true), false, true).state, State::Ok);
        for (encrypted, words) in [(false, "none: "), (true, "nobody checks")] {
            let told = of(Some(encrypted), false, false);
            assert_eq!(told.state, State::Warn);
            assert!(told.detail.contains(words) && told.mend.unwrap().contains("sslmode"));
        }
    }
}
