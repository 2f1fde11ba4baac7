//! The commands that overrule a decision, ready to be copied.

use serde::Serialize;

use crate::decide::{Outcome, Reason, Step};
use crate::report::night::CandidateReport;
use crate::report::words::Words;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// What it does.
    pub what: String,
    /// What to type.
    pub line: String,
}

/// What may be said against, or to, a decision.
pub(super) fn commands_of(experiment: &str, candidate: &CandidateReport, words: &Words) -> Vec<Command> {
    let target = quoted(&format!("{experiment}/{}", candidate.name));
    let why = format!("--reason \"{}\"", words.say("reason"));
    let of = |key: &str, line: String| Command { what: words.say(key), line: format!("rampkeeper {line}") };
    let hold = || of("do_hold", format!("hold {target} {why}"));
    let rollback = || of("do_rollback", format!("rollback {target} {why}"));
    let Some(id) = candidate.decision_id else { return Vec::new() };
    match &candidate.decision.outcome {
        Outcome::Rollback | Outcome::Promote => vec![of("do_undo", format!("undo-moves {id}"))],
        Outcome::Ramp { .. } => vec![hold(), rollback()],
        Outcome::Hold => {
            let reasons = &candidate.decision.reasons;
            let has = |wanted: fn(&Reason) -> bool| reasons.iter().any(wanted);
            if has(|reason| matches!(reason, Reason::AwaitingApproval { .. })) {
                let yes = of("do_approve", format!("approve {id} {why}"));
                return vec![yes, of("do_reject", format!("reject {id} {why}"))];
            }
            if has(|reason| matches!(reason, Reason::Rejected { .. })) {
                return vec![of("do_approve", format!("approve {id} {why}"))];
            }
            if has(|reason| matches!(reason, Reason::HeldByHand { .. })) {
                return vec![of("do_resume", format!("resume {target} {why}")), rollback()];
            }
            // Where the job would act, or somebody must choose, the choice comes first.
            let wants_less = has(|reason| {
                matches!(
                    reason,
                    Reason::AdviceOnly { would: Step::Rollback, .. }
                        | Reason::HarmInsideMargin { .. }
                        | Reason::HarmSuspected { .. }
                        | Reason::HarmHeldForMismatch
                        | Reason::HarmToTell { .. }
                )
            });
            if wants_less { vec![rollback(), hold()] } else { vec![hold(), rollback()] }
        }
    }
}

/// A name as a shell reads it back; one with control characters in a form that cannot break the line.
fn quoted(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/_-.:@%+".contains(c);
    if !name.is_empty() && name.chars().all(safe) && !name.starts_with('-') {
        return name.to_owned();
    }
    let turns = |c: char| super::plain(&c.to_string()) != c.to_string();
    if !name.chars().any(turns) {
        return format!("'{}'", name.replace('\'', "'\\''"));
    }
    let mut told = String::from("$'");
    for c in name.chars() {
        match c {
            '\'' | '\\' => told.extend(['\\', c]),
            c if turns(c) => {
                told.push_str(&c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
            }
            c => told.push(c),
        }
    }
    told.push('\'');
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reaches_the_program_as_it_is_and_never_as_a_command() {
        assert_eq!(quoted("a_exp/b-v2"), "a_exp/b-v2");
        assert_eq!(quoted("a/$(rm -rf x); `y`"), "'a/$(rm -rf x); `y`'");
        assert_eq!(quoted("it's/b"), "'it'\\''s/b'");
        assert_eq!(quoted("a/b\r\nc\u{202e}'d"), "$'a/b\\x0d\\x0ac\\xe2\\x80\\xae\\'d'");
        assert_eq!(quoted("--all"), "'--all'");
    }
}
