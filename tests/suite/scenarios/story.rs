//! A scenario's file.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// What it shows, in one sentence.
    pub title: String,
    /// `promotion.yml` as it stands; the real loader reads it.
    pub promotion: Value,
    /// Whether the warehouse has aggregates over events alone.
    #[serde(default)]
    pub aggregates: bool,
    /// The `evidence` part of `rampkeeper.yml`.
    #[serde(default)]
    pub evidence: Value,
    /// The experiment at its beginning.
    pub experiment: Setting,
    /// What the data are like. Each entry may be for some days of first exposure only; later ones go before.
    pub data: Vec<Days>,
    /// Nights, and what people do between them, in order.
    pub story: Vec<Step>,
}

/// An experiment at its beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The day on whose first moment it starts.
    pub starts: Date,
    /// The arms with their shares, in the order in which the assignment service walks them.
    pub shares: Map<String, Value>,
    /// What an arm serves; a version of its own unless told: `a flag`, `an unreadable config`, `an unknown version`, or
    /// `what <arm> serves`.
    #[serde(default)]
    pub serves: BTreeMap<String, String>,
}

/// What the data of some days are like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Days {
    /// The first day; from the start unless told.
    pub from: Option<Date>,
    /// The last day; to the end unless told.
    pub to: Option<Date>,
    /// This day alone.
    pub on: Option<Date>,
    /// Units of all arms together; they split as the allocation of the moment says.
    pub units_per_day: Option<f64>,
    /// The share of an arm's units that never arrive.
    pub lost: BTreeMap<String, f64>,
    /// Units that come to an arm whatever its share.
    pub strays: BTreeMap<String, f64>,
    /// The share of units that are seen in two arms.
    pub in_two_arms: Option<f64>,
    /// The share of events with text where a metric wants a number.
    pub not_numbers: Option<f64>,
    /// `complete`, `missing`, `cut short`, `few`, `unreadable`, or `late until <date>`: the first night that sees them.
    pub events: Option<String>,
    /// Per metric the value of each arm (that of `control` where an arm is not named), and `spread`, the standard
    /// deviation from unit to unit; without it the metric is a rate. `gone` means that no event of it comes in.
    pub metrics: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One step of the story: nights, or something that somebody does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// One night, by its as-of date.
    pub night: Option<Date>,
    /// Several nights: `2026-03-02 to 2026-03-09`.
    pub nights: Option<String>,
    /// When the job runs on the day after (UTC); at two in the night unless told.
    pub at: Option<Time>,
    /// What the warehouse says instead of answering.
    pub query_fails: Option<String>,
    /// The warehouse is out of reach.
    #[serde(default)]
    pub out_of_reach: bool,

    /// The arm that somebody approves of.
    pub approve: Option<String>,
    /// The arm that somebody rejects.
    pub reject: Option<String>,
    /// An arm, `the experiment` or `everything`.
    pub hold: Option<String>,
    /// An arm, `the experiment` or `everything`.
    pub resume: Option<String>,
    /// An arm, `the experiment` or `everything`.
    pub rollback: Option<String>,
    /// The last day of a hold.
    pub until: Option<Date>,
    /// Whether a hold keeps even proven harm from being rolled back.
    pub even_if_harmful: bool,
    /// Who does it.
    pub by: Option<String>,
    /// Why.
    pub because: Option<String>,

    /// Somebody sets the experiment's status in its table.
    pub set_status: Option<String>,
    /// Somebody sets shares in the experiment's table.
    pub set_shares: Map<String, Value>,
    /// Somebody edits `promotion.yml`: what is given here replaces what stood there (RFC 7396).
    pub edit_promotion: Option<Value>,
}

/// Reads a scenario.
pub fn read(text: &str) -> Result<Story, String> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

impl Step {
    /// The nights of this step; none if it is something that somebody does.
    pub fn dates(&self) -> Result<Vec<Date>, String> {
        let Some(range) = &self.nights else { return Ok(self.night.into_iter().collect()) };
        let parse = |text: &str| text.trim().parse::<Date>().map_err(|error| format!("{text:?}: {error}"));
        let (first, last) = range.split_once(" to ").ok_or_else(|| format!("{range:?} is not `DATE to DATE`"))?;
        let (first, last) = (parse(first)?, parse(last)?);
        Ok(first.series(1.day()).take_while(|date| *date <= last).collect())
    }
}
