//! What a site consists of, kept beside it: what needs no second look, and which files are ours.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ExperimentId;
use crate::report::site::{Drawn, ExperimentLine, NightLine};

/// The whole site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    /// The night pages.
    pub(super) nights: BTreeMap<Date, NightEntry>,
    /// The experiments' pages.
    pub(super) experiments: BTreeMap<ExperimentId, ExperimentEntry>,
}

/// A night's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NightEntry {
    /// The digest of all that the page is made from.
    pub(super) key: String,
    /// Its line of the index.
    pub(super) line: NightLine,
}

/// An experiment's page and its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ExperimentEntry {
    /// The digest of all that the page is made from.
    pub(super) key: String,
    /// Its line of the index.
    pub(super) line: ExperimentLine,
    /// The pictures, by path.
    pub(super) pictures: BTreeMap<String, PictureEntry>,
    /// The earliest night that it links to, if it links to any.
    #[serde(default)]
    pub(super) oldest_link: Option<Date>,
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PictureEntry {
    /// The digest of what is drawn.
    pub(super) digest: String,
    /// Its size and words.
    pub(super) drawn: Drawn,
}

impl Manifest {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Every page and picture.
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        let nights = self.nights.keys().map(|date| format!("nights/{date}.html"));
        nights.chain(self.experiments.values().flat_map(ExperimentEntry::files))
    }
}

impl ExperimentEntry {
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        let page = format!("experiments/{}.html", self.line.file);
        std::iter::once(page).chain(self.pictures.keys().cloned())
    }
}
