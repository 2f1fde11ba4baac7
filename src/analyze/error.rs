//! What can be wrong with a file or with what is asked of it. Every message names the place and what would be right.

use std::path::PathBuf;

use polars::prelude::PolarsError;

/// A file that gives no answer.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct AnalyzeError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub fault: Box<FileFault>,
}

/// What is wrong with a file, or with what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The file cannot be opened.
    #[error("the file cannot be read")]
    Unreadable {
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is neither CSV nor Parquet.
    #[error("{what}")]
    WrongKind {
        /// What it is instead, and what to do.
        what: String,
    },
    /// polars gave up on the file.
    #[error("{doing}")]
    Broken {
        /// What failed.
        doing: &'static str,
        /// What polars says.
        source: PolarsError,
    },
    /// A column that is not there.
    #[error(
        "there is no column {column:?}, which {asked_by} names{}; the columns are {}",
        suggest(nearest),
        listed(present)
    )]
    NoColumn {
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: String,
        /// A column of nearly that name.
        nearest: Option<String>,
        /// The columns that there are.
        present: Vec<String>,
    },
    /// A column that holds something else than it should.
    #[error("column {column:?}, which {asked_by} names, is of type {found}, and must hold {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: String,
        /// The type that it is of.
        found: String,
        /// What it must hold.
        expected: &'static str,
    },
    /// Text where a number belongs.
    #[error(
        "column {column:?}, which {asked_by} names, must hold numbers, but row {row} has {found:?}; leave a field empty where a value is missing"
    )]
    Text {
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: String,
        /// The first text that is no number.
        found: String,
        /// Its row, from 1, the header not counted.
        row: u64,
    },
    /// NaN or an infinity.
    #[error(
        "column {column:?}, which {asked_by} names, has {found} in row {row}; leave a field empty (null) where a value is missing"
    )]
    NotFinite {
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: String,
        /// What stands there.
        found: f64,
        /// Its row, from 1, the header not counted.
        row: u64,
    },
    /// Numbers so large that their sum is infinite.
    #[error("the values of column {column:?}, which {asked_by} names, are too large to add up")]
    Overflow {
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: String,
    },
    /// What must be one value per unit is not.
    #[error(
        "unit {unit:?} has both {low} and {high} in column {column:?}, but {asked_by} must be the same in all rows of a unit"
    )]
    ChangesWithinUnit {
        /// The unit.
        unit: String,
        /// The column.
        column: String,
        /// The argument that names it.
        asked_by: &'static str,
        /// One value.
        low: String,
        /// Another.
        high: String,
    },
    /// Two arguments that name the same column.
    #[error("both {first} and {second} name column {column:?}; each needs a column of its own")]
    TwoRoles {
        /// The column.
        column: String,
        /// One argument.
        first: String,
        /// The other.
        second: String,
    },
    /// A file with a header and nothing else.
    #[error("there are no rows")]
    NoRows,
    /// A variant column with more values than variants can be.
    #[error(
        "column {column:?} has more than {most} different values, such as {}; is it the variant? --variant names the column that is",
        listed(examples)
    )]
    TooManyVariants {
        /// The column.
        column: String,
        /// How many there may be.
        most: usize,
        /// Some of its values.
        examples: Vec<String>,
    },
    /// A stratum column with more values than strata make sense.
    #[error(
        "column {column:?} has more than {most} different values, too many for --stratum; a stratum needs at least two units in each arm"
    )]
    TooManyStrata {
        /// The column.
        column: String,
        /// How many there may be.
        most: usize,
    },
    /// No unit has a variant.
    #[error("column {column:?} holds no value in any row, so no unit has a variant")]
    NoVariant {
        /// The column.
        column: String,
    },
    /// No unit has one variant.
    #[error("every unit of column {unit:?} has rows of more than one variant; is it the unit?")]
    NobodyInOne {
        /// The column of the units.
        unit: String,
    },
    /// Nothing to compare with.
    #[error(
        "column {column:?} holds only {variant:?}, so there is nothing to compare; a comparison needs two variants"
    )]
    OneVariant {
        /// The column.
        column: String,
        /// The one variant.
        variant: String,
    },
    /// Control is not among the variants.
    #[error(
        "no unit has the variant {control:?}{}; column {column:?} holds {}; --control names the one to compare with",
        suggest(nearest),
        listed(present)
    )]
    NoControl {
        /// The column.
        column: String,
        /// The control that was asked for.
        control: String,
        /// A variant of nearly that name.
        nearest: Option<String>,
        /// The variants that there are, with their units.
        present: Vec<String>,
    },
    /// A split that does not fit the variants.
    #[error(
        "--split gives {} a share, but the variants are {}; name each of them once",
        listed(named),
        listed(present)
    )]
    Split {
        /// The variants that the split names.
        named: Vec<String>,
        /// The variants that there are.
        present: Vec<String>,
    },
    /// The covariate carries no information.
    #[error("column {column:?} cannot be a covariate for {metric:?}")]
    Covariate {
        /// The column.
        column: String,
        /// The metric.
        metric: String,
        /// Why not.
        source: crate::stats::Insufficient,
    },
}

/// The name that somebody most likely meant, if one is near enough to be a slip of the hand or a part left out.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let folded = word.to_lowercase();
    let far = (word.chars().count() / 3).max(1);
    let likely = |distance: usize, name: &str| {
        let is_part = name.contains(&folded) || folded.contains(name);
        distance <= far || (is_part && folded.len().min(name.len()) >= 3)
    };
    known
        .into_iter()
        .map(|name| (name.to_lowercase(), name))
        .map(|(lower, name)| (strsim::damerau_levenshtein(&folded, &lower), lower, name))
        .filter(|(distance, lower, _)| likely(*distance, lower))
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, name)| name.to_owned())
}

fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |name| format!(" (did you mean {name:?}?)"))
}

/// As many names as somebody will read.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut told = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        told.push_str(&format!(" and {} more", names.len() - MOST));
    }
    if told.is_empty() { "none".to_owned() } else { told }
}
