//! Tables for a terminal.

use std::io::IsTerminal;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table};

use super::shown::plain;
use crate::decide::Outcome;
use crate::report::{NightReport, Standing};

/// A table in the house style; colour only on a terminal that wants it.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    fit(&mut table);
    table
}

/// As wide as the terminal, or as most screens where there is none.
pub(super) fn fit(table: &mut Table) {
    let width = if std::io::stdout().is_terminal() { table.width() } else { None };
    table.set_width(width.unwrap_or(120));
    if std::env::var_os("NO_COLOR").is_some() {
        table.force_no_tty();
    }
}

/// Keeps columns from being folded, as long as they leave room for the others.
pub(super) fn keep_whole(table: &mut Table, columns: &[usize]) {
    const WIDEST: u16 = 34;
    let widths = table.column_max_content_widths();
    for &column in columns {
        if widths.get(column).is_some_and(|width| *width <= WIDEST)
            && let Some(column) = table.column_mut(column)
        {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// A cell whose word is coloured as the reports colour it.
pub(super) fn word(text: &str, colour: Option<Color>) -> Cell {
    let cell = Cell::new(text);
    match colour {
        Some(colour) => cell.fg(colour).add_attribute(Attribute::Bold),
        None => cell,
    }
}

/// A night as text: a row per candidate, then what is planned and what is left.
pub(super) fn night(report: &NightReport) -> String {
    let mut rows = table(&["experiment", "candidate", "decision", "share", "why"]);
    let mut steps = String::new();
    for experiment in &report.experiments {
        match &experiment.standing {
            Standing::Failed { why } => {
                rows.add_row(vec![
                    Cell::new(plain(&experiment.name)),
                    Cell::new("–"),
                    word("failed", Some(Color::Red)),
                    Cell::new("–"),
                    Cell::new(plain(why)),
                ]);
            }
            Standing::AlreadyDecided => {
                let why = "this night was decided before, or nothing is left to decide";
                rows.add_row(vec![plain(&experiment.name).as_str(), "–", "unchanged", "–", why]);
            }
            Standing::Decided => {}
        }
        for candidate in &experiment.candidates {
            let (colour, share) = match &candidate.decision.outcome {
                Outcome::Rollback => (Some(Color::Red), format!("{} → 0 %", candidate.share)),
                Outcome::Promote => (Some(Color::Green), format!("{} → 100 %", candidate.share)),
                Outcome::Ramp { to, .. } => (Some(Color::Blue), format!("{} → {to}", candidate.share)),
                Outcome::Hold => (None, candidate.share.to_string()),
            };
            let mut why: Vec<String> =
                candidate.decision.reasons.iter().map(|reason| plain(&reason.to_string())).collect();
            why.extend(candidate.forecast.iter().map(|forecast| plain(&forecast.to_string())));
            rows.add_row(vec![
                Cell::new(plain(&experiment.name)),
                Cell::new(plain(&candidate.name)),
                word(candidate.decision.outcome.word(), colour),
                Cell::new(share),
                Cell::new(why.join("\n")),
            ]);
        }
        let name = plain(&experiment.name);
        for note in experiment.notes() {
            steps.push_str(&format!("{name}: {}\n", plain(&note)));
        }
        for change in &experiment.allocations {
            steps.push_str(&format!("{name}: allocate {} {} → {}\n", plain(&change.name), change.from, change.to));
        }
        for step in &experiment.steps {
            steps.push_str(&format!("{name}: {}\n", plain(step)));
        }
    }
    let cautions: String = report.cautions().iter().map(|caution| format!("{}\n", plain(caution))).collect();
    let mut told = format!("As of {}: {}\n{cautions}{rows}\n", report.as_of, report.summary());
    if !steps.is_empty() {
        told.push_str(&format!("\n{steps}"));
    }
    for incident in &report.incidents {
        told.push_str(&format!("\nnot as decided: {}\n", plain(&incident.to_string())));
    }
    for line in &report.moved {
        told.push_str(&format!("\nunits moved: {}\n", plain(line)));
    }
    for line in &report.resumed {
        told.push_str(&format!("\ndone now, left over from an earlier night: {}\n", plain(line)));
    }
    for line in &report.unfinished {
        told.push_str(&format!("\nstill to be done: {}\n", plain(line)));
    }
    told
}
