//! Experiments and their variants, as the experiment tables describe them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::share::Share;
use super::variant_config::{VariantConfig, VariantConfigError};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Ok(Self(Uuid::parse_str(text)?))
            }
        }
    };
}

id! {
    /// The key of an experiment.
    ExperimentId
}
id! {
    /// The key of a variant.
    VariantId
}

/// Where an experiment stands in its life: draft → active ⇄ paused → completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExperimentStatus {
    /// Not yet started.
    Draft,
    /// Units are being assigned.
    Active,
    /// Stopped by hand for a while.
    Paused,
    /// Over.
    Completed,
}

impl ExperimentStatus {
    /// The word that the experiment tables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
        }
    }
}

impl FromStr for ExperimentStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "draft" => Self::Draft,
            "active" => Self::Active,
            "paused" => Self::Paused,
            "completed" => Self::Completed,
            other => return Err(format!("{other:?} is not one of draft, active, paused, completed")),
        })
    }
}

/// One comparison: the variants that its units are split over.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its key.
    pub id: ExperimentId,
    /// Its unique name.
    pub name: String,
    /// Where it stands.
    pub status: ExperimentStatus,
    /// What is randomised: `user`, `household` or `session`.
    pub unit_type: String,
    /// When assignment begins, if that is set.
    pub start_at: Option<Timestamp>,
    /// When the experiment is to end, if that is set.
    pub end_at: Option<Timestamp>,
    /// Its arms in the order in which the assignment service walks them.
    pub variants: Vec<Variant>,
}

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its key.
    pub id: VariantId,
    /// Its name, unique in its experiment.
    pub name: String,
    /// The planned share of new units.
    pub allocation: Share,
    /// What it serves, or why that could not be read.
    pub config: Result<VariantConfig, VariantConfigError>,
}

impl Experiment {
    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|v| v.name == name)
    }

    /// The variant of that key.
    pub fn variant_by_id(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|v| v.id == id)
    }

    /// The sum of the allocations in ten-thousandths; 10000 when the table is in order.
    pub fn allocated_ten_thousandths(&self) -> u32 {
        self.variants.iter().map(|v| u32::from(v.allocation.ten_thousandths())).sum()
    }
}
