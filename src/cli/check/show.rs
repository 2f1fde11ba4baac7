//! How the answers are shown: aligned lines for people, or one JSON document.

use std::io::IsTerminal;

use serde::Serialize;

use super::Asked;
use super::finding::{Finding, State};
use crate::cli::OutputFormat;

/// The widest that the second column grows for one long name.
const WIDEST: usize = 44;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    /// The time that was taken for now.
    at: jiff::Timestamp,
    as_of: jiff::civil::Date,
    state: State,
    lines: &'a [Finding],
}

/// Writes the answers to standard output.
pub(super) fn show(asked: &Asked<'_>, findings: &[Finding]) -> anyhow::Result<()> {
    match asked.global.output {
        OutputFormat::Json => {
            let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
            let document = Document { schema_version: 1, at: asked.now, as_of: asked.as_of, state, lines: findings };
            println!("{}", serde_json::to_string_pretty(&document)?);
        }
        OutputFormat::Text => {
            let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            print!("{}", text(findings, colour));
        }
    }
    Ok(())
}

/// A line each. Nothing is folded, so that a GRANT can be copied and a word can be searched for.
fn text(findings: &[Finding], colour: bool) -> String {
    let widest = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0).min(WIDEST);
    let mut told = String::new();
    for Finding { area, what, state, detail, mend } in findings {
        let word = painted(*state, colour);
        told.push_str(&format!("{word}  {:<13}  {what:<widest$}  {detail}\n", area.word()));
        if let Some(mend) = mend {
            told.push_str(&format!("{:21}→ {mend}\n", ""));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    told.push_str(&format!("{} ok, {} warn, {} fail\n", count(State::Ok), count(State::Warn), count(State::Fail)));
    told
}

/// The word of a state, four columns wide.
fn painted(state: State, colour: bool) -> String {
    let code = match state {
        State::Ok => "32",
        State::Warn => "33",
        State::Fail => "1;31",
    };
    let word = state.word();
    let space = " ".repeat(4usize.saturating_sub(word.len()));
    if colour { format!("\x1b[{code}m{word}\x1b[0m{space}") } else { format!("{word}{space}") }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Area;
    use super::*;

    #[test]
    fn lines_stand_under_each_other_and_say_how_to_mend() {
        let findings = [
            Finding::ok(Area::Control, "server", "PostgreSQL 17"),
            Finding::fail(Area::Grants, "exp.variants", "may not UPDATE (name)", "GRANT UPDATE (name) ON …"),
        ];
        let plain = "\
ok    control        server        PostgreSQL 17
fail  grants         exp.variants  may not UPDATE (name)
                     → GRANT UPDATE (name) ON …
1 ok, 0 warn, 1 fail
";
        assert_eq!(text(&findings, false), plain);
        let painted = text(&findings, true);
        assert!(painted.starts_with("\x1b[32mok\x1b[0m    control"), "{painted:?}");
        assert!(painted.contains("\x1b[1;31mfail\x1b[0m  grants"), "{painted:?}");
    }
}
