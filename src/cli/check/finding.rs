//! One line of `check`: what was looked at, how it is, and how to mend it.

use std::time::Duration;

use serde::Serialize;

/// The longest that anything is waited for. Who asks sits in front of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What can be asked about, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Area {
    /// The three files.
    Configuration,
    /// The control store: server, migrations, clock.
    Control,
    /// What the database users may do, and what they need not be able to do.
    Grants,
    /// The running experiments.
    Experiments,
    /// Where events lie: connection, tables, columns.
    Warehouse,
    /// Each metric's query, rehearsed.
    Metrics,
    /// How old the events are.
    Freshness,
    /// The model registry: login, versions.
    Registry,
    /// The mail server and the readers.
    Mail,
    /// The chats that are told as well.
    Chat,
    /// The address that is pinged.
    Heartbeat,
    /// When `serve` runs next.
    Schedule,
    /// Who may act now.
    Lease,
    /// What is still to be done.
    Journal,
}

impl Area {
    /// The word that stands for it, as `--only` takes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Area::Configuration => "configuration",
            Area::Control => "control",
            Area::Grants => "grants",
            Area::Experiments => "experiments",
            Area::Warehouse => "warehouse",
            Area::Metrics => "metrics",
            Area::Freshness => "freshness",
            Area::Registry => "registry",
            Area::Mail => "mail",
            Area::Chat => "chat",
            Area::Heartbeat => "heartbeat",
            Area::Schedule => "schedule",
            Area::Lease => "lease",
            Area::Journal => "journal",
        }
    }
}

/// How something is, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// A night would run; somebody should look all the same.
    Warn,
    /// A night would fail, or leave something undone.
    Fail,
}

impl State {
    /// The word that stands for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) area: Area,
    pub(super) what: String,
    pub(super) state: State,
    pub(super) detail: String,
    /// How to mend it; there is one wherever the state is not ok.
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(area: Area, what: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding { area, what: what.into(), state: State::Ok, detail: detail.into(), mend: None }
    }

    pub(super) fn warn(
        area: Area,
        what: impl Into<String>,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding { area, what: what.into(), state: State::Warn, detail: detail.into(), mend: Some(mend.into()) }
    }

    pub(super) fn fail(
        area: Area,
        what: impl Into<String>,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding { state: State::Fail, ..Finding::warn(area, what, detail, mend) }
    }
}

/// What became of a question within [`PATIENCE`], its error in one line.
pub(super) async fn in_time<T, E>(question: impl Future<Output = Result<T, E>>) -> Result<T, String>
where
    E: Into<anyhow::Error>,
{
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| in_one_line(&error.into())),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// An error with its causes. One that speaks for its cause has told it already.
pub(super) fn in_one_line(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Some names as a list of words, the first few of them.
pub(super) fn some_of<T: AsRef<str>>(names: &[T]) -> String {
    const MOST: usize = 8;
    let mut told = names.iter().take(MOST).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    if names.len() > MOST {
        told.push_str(&format!(" and {} more", names.len() - MOST));
    }
    told
}

/// The known name that is nearest to one that is not known, if any is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    near.filter(|(distance, known)| *distance <= 1 + known.len() / 4).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_grow_worse_and_names_are_found_again() {
        assert!(State::Ok < State::Warn && State::Warn < State::Fail);
        assert_eq!(nearest("chekout_exp", ["checkout_exp", "search_exp"]), Some("checkout_exp"));
        assert_eq!(nearest("billing", ["checkout_exp", "search_exp"]), None);
        let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(some_of(&names[..2]), "0, 1");
    }

    #[test]
    fn every_area_is_called_as_it_is_asked_for() {
        use clap::ValueEnum;
        for area in Area::value_variants() {
            assert_eq!(area.to_possible_value().unwrap().get_name(), area.word());
            assert_eq!(serde_json::json!(area), area.word());
        }
    }
}
