//! Which column of the file is what, and the frame that the tally reads: a row per unit, with columns of known names.

use polars::prelude::{DataType, Expr, LazyFrame, Null, col, len, lit, when};

use super::error::FileFault;
use super::question::Question;
use super::source::{Holds, Source, Wanted};
use super::tally::{Fault, MOST_STRATA, MOST_VARIANTS};

/// Which column of the frame is what.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) wanted: Vec<Wanted>,
    pub(super) per_unit: bool,
    pub(super) stratum: bool,
    pub(super) covariate: bool,
    /// Per metric, the places of its numerator and denominator among the numbers.
    pub(super) metrics: Vec<(usize, Option<usize>)>,
    /// Columns of numbers in the file.
    pub(super) numbers: Vec<String>,
}

/// The frame's name of a number.
pub(super) fn number(place: usize) -> String {
    format!("number_{place}")
}

impl Layout {
    /// Every column that the question names; whether it is there is told when the frame is made.
    ///
    /// # Errors
    /// [`FileFault::TwoRoles`] if two arguments name the same column.
    pub(super) fn of(source: &Source, question: &Question) -> Result<Self, FileFault> {
        let mut layout = Layout {
            per_unit: question.unit.is_some(),
            stratum: question.stratum.is_some(),
            covariate: question.covariate.is_some(),
            ..Layout::default()
        };
        layout.want(&question.variant, "variant", Holds::Key, "--variant");
        if let Some(unit) = &question.unit {
            layout.want(unit, "unit", Holds::Unit, "--unit");
        }
        if let Some(stratum) = &question.stratum {
            layout.want(stratum, "stratum", Holds::Key, "--stratum");
        }
        if let Some(covariate) = &question.covariate {
            layout.want(covariate, "covariate", Holds::Number, "--covariate");
        }
        for asked in &question.metrics {
            let (numerator, denominator) = columns(source, &asked.metric.columns);
            let name = &asked.metric.name;
            let numerator = layout.number(numerator, name);
            let denominator = denominator.map(|denominator| layout.number(denominator, name));
            layout.metrics.push((numerator, denominator));
        }
        layout.refuse_two_roles()?;
        Ok(layout)
    }

    /// A column that is a key and a number, or a metric and its own covariate, is a slip of the hand.
    fn refuse_two_roles(&self) -> Result<(), FileFault> {
        for (place, wanted) in self.wanted.iter().enumerate() {
            if let Some(other) = self.wanted[..place].iter().find(|other| other.column == wanted.column) {
                return Err(FileFault::TwoRoles {
                    column: wanted.column.clone(),
                    first: other.asked_by.clone(),
                    second: wanted.asked_by.clone(),
                });
            }
        }
        Ok(())
    }

    fn want(&mut self, column: &str, alias: &str, holds: Holds, asked_by: &str) {
        let (column, alias, asked_by) = (column.to_owned(), alias.to_owned(), asked_by.to_owned());
        self.wanted.push(Wanted { column, alias, holds, asked_by });
    }

    /// The place of a column among the numbers; a column that two metrics read is read once.
    fn number(&mut self, column: &str, metric: &str) -> usize {
        if let Some(place) = self.numbers.iter().position(|known| known == column) {
            return place;
        }
        self.numbers.push(column.to_owned());
        let place = self.numbers.len() - 1;
        self.want(column, &number(place), Holds::Number, &format!("metric {metric:?}"));
        place
    }

    /// One row per unit: sums, and the least and greatest of what must not differ.
    pub(super) fn per_unit(&self, rows: LazyFrame) -> LazyFrame {
        let mut aggregates: Vec<Expr> = vec![len().cast(DataType::Int64).alias("rows")];
        let mut ends = |name: &str| {
            aggregates.push(col(name).min().alias(name));
            aggregates.push(col(name).max().alias(format!("{name}_high")));
        };
        ends("variant");
        if self.stratum {
            ends("stratum");
        }
        if self.covariate {
            ends("covariate");
            // NaN hides from least and greatest, not from a sum.
            aggregates.push(col("covariate").sum().alias("covariate_sum"));
        }
        for place in 0..self.numbers.len() {
            let number = number(place);
            aggregates.push(col(&number).sum().alias(&number));
            aggregates.push(col(&number).count().cast(DataType::Int64).alias(format!("{number}_rows")));
        }
        let sums = (0..self.numbers.len()).map(|place| {
            let number = number(place);
            // The sum of no value is 0 to polars, and a missing value here.
            when(col(format!("{number}_rows")).gt(lit(0)))
                .then(col(&number))
                .otherwise(lit(Null {}).cast(DataType::Float64))
                .alias(&number)
        });
        let sums: Vec<Expr> = sums.collect();
        rows.group_by([col("unit")]).agg(aggregates).with_columns(sums)
    }

    /// The fault in words, with the place in the file.
    pub(super) fn tell(&self, fault: Fault, source: &Source, question: &Question) -> FileFault {
        match fault {
            Fault::NotFinite(alias) => match self.wanted.iter().find(|wanted| wanted.alias == alias) {
                Some(wanted) => source.not_finite(wanted),
                None => FileFault::Overflow { column: alias, asked_by: "a metric".to_owned() },
            },
            Fault::Variants(examples) => {
                FileFault::TooManyVariants { column: question.variant.clone(), most: MOST_VARIANTS, examples }
            }
            Fault::Strata => {
                let column = question.stratum.clone().unwrap_or_default();
                FileFault::TooManyStrata { column, most: MOST_STRATA }
            }
            Fault::Changes { unit, asked_by, low, high } => {
                let column = match asked_by {
                    "--stratum" => question.stratum.clone(),
                    _ => question.covariate.clone(),
                };
                FileFault::ChangesWithinUnit { unit, column: column.unwrap_or_default(), asked_by, low, high }
            }
        }
    }
}

/// A column of the file, or two with a `/` between them; names may have a `/` of their own.
fn columns<'a>(source: &Source, text: &'a str) -> (&'a str, Option<&'a str>) {
    if source.has(text) {
        return (text, None);
    }
    let halves = || text.match_indices('/').map(|(at, _)| (text[..at].trim(), text[at + 1..].trim()));
    let split = halves().find(|(y, d)| source.has(y) && source.has(d)).or_else(|| halves().next());
    split.map_or((text, None), |(y, d)| (y, Some(d)))
}
