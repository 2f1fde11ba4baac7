//! `check`: everything that a night relies on, asked beforehand, changing nothing. A line for each thing: ok, warn or fail,
//! and how to mend what is not ok.
//!
//! One fault hides no other: what does not depend on it is asked all the same, and what waits for a server waits no longer
//! than [`finding::PATIENCE`].

mod certificate;
mod configuration;
mod control;
mod experiments;
mod facts;
mod finding;
mod freshness;
mod grants;
mod mail;
mod metrics;
mod needed;
mod registry;
mod route;
mod schedule;
mod show;
mod standing;
mod warehouse;
mod web;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Exit, Global, connect};
use crate::config::{self, Config};
use crate::control::ControlStore;
use crate::warehouse::Examine;
use finding::{Area, Finding, State, in_time};

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    /// Ask about these only; may be given several times, or separated by commas.
    #[arg(long, value_enum, value_name = "AREA", value_delimiter = ',')]
    only: Vec<Area>,
    /// End with 1 for a warning too.
    #[arg(long)]
    strict: bool,
}

/// What every area may look at.
struct Asked<'a> {
    config: &'a Config,
    global: &'a Global,
    now: Timestamp,
    as_of: Date,
    only: &'a [Area],
}

impl Asked<'_> {
    fn wants(&self, area: Area) -> bool {
        self.only.is_empty() || self.only.contains(&area)
    }

    fn wants_any(&self, areas: &[Area]) -> bool {
        areas.iter().any(|area| self.wants(*area))
    }
}

/// What needs the control store.
const IN_THE_STORE: [Area; 9] = [
    Area::Configuration,
    Area::Control,
    Area::Grants,
    Area::Experiments,
    Area::Freshness,
    Area::Registry,
    Area::Mail,
    Area::Lease,
    Area::Journal,
];

/// What needs the warehouse.
const IN_THE_WAREHOUSE: [Area; 4] = [Area::Grants, Area::Warehouse, Area::Metrics, Area::Freshness];

/// Asks about everything, or about the areas named, and shows the answers.
pub(super) async fn check(global: &Global, arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let now = super::now(global);
    let asked = Asked { config: &config, global, now, as_of: super::as_of(global, now), only: &arguments.only };
    let mut findings = findings(&asked).await;
    findings.sort_by_key(|finding| finding.area);
    show::show(&asked, &findings)?;
    let worst = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    Ok(match worst {
        State::Fail => Exit::Failed,
        State::Warn if arguments.strict => Exit::Failed,
        State::Warn | State::Ok => Exit::Done,
    })
}

async fn findings(asked: &Asked<'_>) -> Vec<Finding> {
    let (store, warehouse, mail_server, tracker, chats, heartbeat) = tokio::join!(
        open_store(asked),
        open_warehouse(asked),
        asked_for(asked, Area::Mail, mail::server(asked)),
        asked_for(asked, Area::Registry, registry::server(asked)),
        asked_for(asked, Area::Chat, web::chats(asked)),
        asked_for(asked, Area::Heartbeat, web::heartbeat(asked)),
    );
    let mut findings = [mail_server, tracker, chats, heartbeat].concat();
    let store = store.unwrap_or_else(|finding| {
        findings.push(finding);
        None
    });
    let warehouse = warehouse.unwrap_or_else(|finding| {
        findings.push(finding);
        None
    });
    if asked.wants(Area::Schedule) {
        findings.extend(schedule::findings(asked));
    }
    let (store, warehouse) = (store.as_ref(), warehouse.as_deref());
    let known = match store {
        Some(store) => experiments::load(asked, store).await,
        None => Ok(None),
    };
    let known = known.unwrap_or_else(|finding| {
        findings.push(finding);
        None
    });
    let known = known.as_ref();
    let answers = tokio::join!(
        asked_for(asked, Area::Configuration, configuration::findings(asked, known)),
        asked_for(asked, Area::Control, control::findings(asked, store)),
        asked_for(asked, Area::Grants, grants::findings(asked, store, warehouse)),
        asked_for(asked, Area::Experiments, experiments::findings(asked, store, known)),
        asked_for(asked, Area::Experiments, route::findings(asked, store, known)),
        asked_for(asked, Area::Warehouse, warehouse::findings(asked, warehouse)),
        asked_for(asked, Area::Metrics, metrics::findings(asked, warehouse, known)),
        asked_for(asked, Area::Freshness, freshness::findings(asked, store, warehouse, known)),
        asked_for(asked, Area::Registry, registry::versions(asked, store, known)),
        asked_for(asked, Area::Mail, mail::readers(asked, known)),
        asked_for(asked, Area::Chat, web::unknown(asked, known)),
        asked_for(asked, Area::Lease, standing::lease(asked, store)),
        asked_for(asked, Area::Journal, standing::journal(asked, store)),
    );
    let (a, b, c, d, e, f, g, h, i, j, k, l, m) = answers;
    findings.extend([a, b, c, d, e, f, g, h, i, j, k, l, m].into_iter().flatten());
    findings
}

/// The answers of an area, if it is asked about.
async fn asked_for(asked: &Asked<'_>, area: Area, answers: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    if asked.wants(area) { answers.await } else { Vec::new() }
}

/// The control store, if somebody asks about something in it.
async fn open_store(asked: &Asked<'_>) -> Result<Option<ControlStore>, Finding> {
    if !asked.wants_any(&IN_THE_STORE) && !metrics::asks_the_store(asked) {
        return Ok(None);
    }
    let opened = in_time(connect::control(asked.config)).await;
    opened.map(Some).map_err(|error| {
        let mend =
            "correct `control` in the configuration, or mend the server; without it only what lies elsewhere was looked at";
        Finding::fail(Area::Control, "connection", error, mend)
    })
}

/// The warehouse, if somebody asks about something in it.
async fn open_warehouse(asked: &Asked<'_>) -> Result<Option<Box<dyn Examine>>, Finding> {
    if !asked.wants_any(&IN_THE_WAREHOUSE) {
        return Ok(None);
    }
    let opened = in_time(connect::warehouse_to_examine(asked.config)).await;
    opened.map(Some).map_err(|error| {
        let mend = "correct `warehouse` in the configuration, or mend the server or folder that it names";
        Finding::fail(Area::Warehouse, "connection", error, mend)
    })
}
