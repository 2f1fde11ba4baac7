//! Why a site could not be written.

use std::path::PathBuf;

use jiff::civil::Date;

use crate::control::ControlError;

/// A fault of writing the site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The record could not be read.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Somebody else's files lie there.
    #[error("{} was not written by rampkeeper, so nothing is written to {}; give an empty folder or a new one", found.display(), folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What lies there.
        found: PathBuf,
    },
    /// Another run writes there.
    #[error("another run is writing the site in {} just now; try again when it is done", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be written.
    #[error("could not write {} of the site", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No such night.
    #[error("no night of {as_of} is on record; {}", nearest(.known))]
    NoNight {
        /// The night that was asked for.
        as_of: Date,
        /// The latest that are.
        known: Vec<Date>,
    },
    /// A page could not be made.
    #[error("a page of the site could not be made: {0}")]
    Broken(String),
}

fn nearest(known: &[Date]) -> String {
    match known {
        [] => "nothing was recorded yet, `rampkeeper run` makes the first".to_owned(),
        some => format!("the latest are {}", some.iter().map(Date::to_string).collect::<Vec<_>>().join(", ")),
    }
}
