//! Where everything stands, for people.

use comfy_table::Cell;
use jiff::Unit;
use jiff::tz::TimeZone;

use super::in_force::InForce;
use super::{Action, Candidate, Status, WaitingVersion, short};
use crate::cli::output::{keep_whole, table};
use crate::cli::shown::{SIGNS, Tone, clock, heading, listed, marked, painted, paragraph, plain, tight};
use crate::decide::{Forecast, Outcome};
use crate::domain::RolloutStatus;

/// How many follow-ups are told one by one.
const FOLLOW_UPS: usize = 10;

/// The whole page.
pub(super) fn text(status: &Status, wanted: Option<&str>) -> String {
    let mut told = headline(status);
    let (open, closed): (Vec<&Candidate>, Vec<&Candidate>) = status.candidates.iter().partition(|c| is_open(c));
    told.push_str(&cautions(&open));
    if !open.is_empty() {
        told.push_str(&candidates(&open));
        told.push_str(&paragraph(&painted(SIGNS, Tone::Faint)));
    }
    if status.candidates.is_empty() {
        told.push_str(&nothing(status, wanted));
    }
    if !closed.is_empty() {
        told.push_str(&heading("Closed"));
        told.push_str(&listed("·", closed.into_iter().map(closed_line)));
    }
    if !status.without_candidate.is_empty() && !status.candidates.is_empty() {
        let names: Vec<String> = status.without_candidate.iter().map(|name| plain(name)).collect();
        told.push_str(&heading("Without a candidate"));
        told.push_str(&paragraph(&format!("{}: no variant beside control has a share", names.join(", "))));
    }
    if !status.waiting.is_empty() {
        told.push_str(&heading("Waiting to come in"));
        let line = |waiting: &WaitingVersion| format!("{}: {}", plain(&waiting.experiment), plain(&waiting.told));
        told.push_str(&listed("·", status.waiting.iter().map(line)));
    }
    if !status.in_force.is_empty() {
        told.push_str(&heading("In force"));
        let line = |force: &InForce| {
            let on: Vec<String> = force.on.iter().map(|on| plain(on)).collect();
            format!("{}: {}", on.join(", "), plain(&force.told))
        };
        told.push_str(&listed("·", status.in_force.iter().map(line)));
    }
    told.push_str(&follow_ups(&status.actions));
    if let Some(lease) = status.lease.as_ref().filter(|lease| !lease.expired) {
        told.push_str(&heading("At work now"));
        told.push_str(&paragraph(&format!(
            "{}, until {} unless renewed",
            plain(&lease.holder),
            clock(lease.expires_at)
        )));
    }
    told
}

/// What limits how far decisions may be trusted, each caution once.
fn cautions(open: &[&Candidate]) -> String {
    let mut told: Vec<(&str, Vec<String>)> = Vec::new();
    for candidate in open {
        let Some(caution) = candidate.caution.as_deref() else { continue };
        let name = format!("{}/{}", plain(&candidate.experiment), plain(&candidate.name));
        match told.iter_mut().find(|(known, _)| *known == caution) {
            Some((_, names)) => names.push(name),
            None => told.push((caution, vec![name])),
        }
    }
    let line = |(caution, names): (&str, Vec<String>)| {
        paragraph(&painted(&format!("{} ({})", plain(caution), names.join(", ")), Tone::Bad))
    };
    told.into_iter().map(line).collect()
}

fn is_open(candidate: &Candidate) -> bool {
    candidate.status.is_none_or(|status| status == RolloutStatus::Ramping)
}

/// The last night, and whether one is missing.
fn headline(status: &Status) -> String {
    let mut told = String::new();
    if status.kill_switch {
        let line = "The kill switch is on: every night decides and tells, and nothing is changed.";
        told.push_str(&format!("{}\n", painted(line, Tone::Bad)));
    }
    let Some(run) = &status.last_run else {
        return format!("{told}No night has run yet; `rampkeeper plan` shows what the first would do.\n");
    };
    let at_work = status.lease.as_ref().is_some_and(|lease| !lease.expired);
    let how = match (&run.finished_at, &run.summary) {
        (Some(_), Some(summary)) => plain(summary),
        (Some(_), None) => "done".to_owned(),
        (None, _) if at_work => "at work now".to_owned(),
        (None, _) => painted("it broke off; the next run goes on where it stopped", Tone::Bad),
    };
    told.push_str(&format!("Last night: {}, run at {}: {how}\n", run.as_of, clock(run.started_at)));
    let yesterday = status.at.to_zoned(TimeZone::UTC).date().yesterday().unwrap_or(run.as_of);
    let missed = run.as_of.until((Unit::Day, yesterday)).map_or(0, |span| i64::from(span.get_days()));
    if missed > 1 {
        let line = format!("No night has run for the {missed} days since. Is the job still started?");
        told.push_str(&format!("{}\n", painted(&line, Tone::Open)));
    }
    told
}

fn candidates(open: &[&Candidate]) -> String {
    let mut rows = table(&["candidate", "guardrails", "last decision, and why"]);
    for candidate in open {
        let guardrails: Vec<String> = candidate.guardrails.iter().map(marked).collect();
        rows.add_row(vec![
            Cell::new(candidate_in_lines(candidate)),
            Cell::new(if guardrails.is_empty() { "not judged yet".to_owned() } else { guardrails.join("\n") }),
            Cell::new(waits_for(candidate)),
        ]);
    }
    keep_whole(&mut rows, &[0, 1]);
    format!("{rows}\n")
}

/// Its name, its stage and its share.
fn candidate_in_lines(candidate: &Candidate) -> String {
    let stage = match candidate.stage {
        Some(stage) => tight(&format!("stage {stage} of {}: {}", candidate.stages, candidate.share)),
        None => tight(&format!("new: {}", candidate.share)),
    };
    let nights = match candidate.nights_at_stage {
        Some(1) => "\n1 night there".to_owned(),
        Some(nights) => format!("\n{nights} nights there"),
        None => String::new(),
    };
    format!("{}/\n{}\n{stage}{nights}", plain(&candidate.experiment), plain(&candidate.name))
}

/// The last decision, its deciding reason, how many others there are, and when it would go on.
fn waits_for(candidate: &Candidate) -> String {
    let Some(decision) = &candidate.decision else { return "its first night".to_owned() };
    let tone = match decision.outcome {
        Outcome::Rollback => Tone::Bad,
        Outcome::Promote | Outcome::Ramp { .. } => Tone::Good,
        Outcome::Hold => Tone::Open,
    };
    let outcome = painted(decision.outcome.word(), tone);
    let mut lines = vec![format!("{outcome}, night of {} ({})", decision.as_of, short(decision.id))];
    match (&decision.outcome, candidate.waits_for.split_first()) {
        (Outcome::Hold, Some((first, others))) => {
            lines.push(tight(&plain(first)));
            if !others.is_empty() {
                lines.push(format!("and {} more", others.len()));
            }
        }
        (Outcome::Ramp { to, .. }, _) => lines.push(tight(&format!("days and units at {to}"))),
        (_, first) => lines.extend(first.map(|(first, _)| plain(first))),
    }
    if candidate.needs_somebody {
        lines.push(painted("needs you", Tone::Bad));
    }
    match &candidate.forecast {
        Some(forecast @ Forecast::Expected { .. }) => lines.push(forecast.to_string()),
        Some(Forecast::Unreachable { why }) => lines.push(painted(&format!("never: {}", plain(why)), Tone::Bad)),
        None => {}
    }
    lines.join("\n")
}

fn closed_line(candidate: &Candidate) -> String {
    let how = match candidate.status {
        Some(RolloutStatus::Promoted) => "promoted",
        Some(RolloutStatus::RolledBack) => "rolled back",
        Some(RolloutStatus::Superseded) => "superseded by a sibling",
        Some(RolloutStatus::Ramping) | None => "open",
    };
    let mut told = format!("{}/{}: {how}", plain(&candidate.experiment), plain(&candidate.name));
    if let Some(decision) = &candidate.decision {
        let why = candidate.waits_for.first().map(|why| format!(", {}", plain(why))).unwrap_or_default();
        told.push_str(&format!(" with the night of {}{why} (decision {})", decision.as_of, short(decision.id)));
    }
    told
}

/// Nothing to show: what there is instead, and what to do next.
fn nothing(status: &Status, wanted: Option<&str>) -> String {
    if let Some(name) = wanted {
        let name = plain(name);
        return match status.without_candidate.is_empty() {
            true => {
                format!("{name} is neither running nor paused. `rampkeeper history {name}` shows what became of it.\n")
            }
            false => format!("{name} has no candidate: no variant beside control has a share. Give one a share.\n"),
        };
    }
    if !status.without_candidate.is_empty() {
        let names: Vec<String> = status.without_candidate.iter().map(|name| plain(name)).collect();
        return format!(
            "No candidate is on its way. Running, with no share for any variant beside control: {}.\n",
            names.join(", ")
        );
    }
    let others = match status.other_experiments {
        0 => "There is no experiment at all.".to_owned(),
        1 => "No experiment is running or paused; one is a draft or completed.".to_owned(),
        more => format!("No experiment is running or paused; {more} are drafts or completed."),
    };
    paragraph(&format!(
        "{others} An experiment is judged from the night on that finds it `active` in exp.experiments, with a control and a \
         variant that has a share in exp.variants. `rampkeeper demo` shows a whole world of them."
    ))
}

fn follow_ups(actions: &[Action]) -> String {
    if actions.is_empty() {
        return String::new();
    }
    let line = |action: &Action| {
        let mut told = plain(&action.what);
        if action.given_up {
            told.push_str(&format!(": {}", painted("given up", Tone::Bad)));
        }
        if action.attempts > 0 {
            let times = if action.attempts == 1 { "once".to_owned() } else { format!("{} times", action.attempts) };
            told.push_str(&format!(", tried {times}"));
        }
        if let Some(at) = action.not_before {
            told.push_str(&format!(", not before {}", clock(at)));
        }
        if let Some(error) = &action.last_error {
            told.push_str(&format!(": {}", plain(error)));
        }
        told
    };
    let more = actions.len().saturating_sub(FOLLOW_UPS);
    let more = (more > 0).then(|| format!("and {more} more"));
    let told = actions.iter().take(FOLLOW_UPS).map(line).chain(more);
    format!("{}{}", heading("Still to be done"), listed("·", told))
}
