//! The sentences of the route: what an experiment's next report tells of it, once, and what speaks against an enrolment.

use crate::control::{RouteNote, digest_of};
use crate::domain::{Act, ExperimentId, VariantId, VersionName};
use crate::route::{Enrolling, Qualified, Refusal, Rule};

/// The refusals as sentences; those that may be set aside say so, where they were not.
pub(super) fn told(refusals: &[Refusal], may_force: bool) -> Vec<String> {
    let told = refusals.iter().map(|refusal| match refusal.rule {
        Rule::Forcible if may_force => format!("{} (--force with a --reason sets this aside)", refusal.message),
        Rule::Forcible | Rule::Firm => refusal.message.clone(),
    });
    told.collect()
}

/// That a version came in.
pub(super) fn note_of(experiment: ExperimentId, enrolling: &Enrolling, act: Option<&Act>) -> RouteNote {
    let by = act.map_or("by the night".to_owned(), |act| match act.reason.is_empty() {
        true => format!("by {}", act.by),
        false => format!("by {} ({})", act.by, act.reason),
    });
    let mut line = format!(
        "enrolled {by}: {} as {} with {}; {}",
        enrolling.version_name,
        enrolling.name,
        enrolling.share,
        enrolling.shares()
    );
    if let Some(judgement) = &enrolling.judgement {
        line.push_str(&format!("; offline evaluation {judgement}"));
    }
    for frozen in &enrolling.thresholds {
        line.push_str(&format!("; {frozen}"));
    }
    if !enrolling.set_aside.is_empty() {
        line.push_str(&format!("; set aside: {}", enrolling.set_aside.join("; ")));
    }
    RouteNote { experiment, about: about_enrolment(enrolling.variant), line }
}

/// What the note of an enrolment is about.
pub(super) fn about_enrolment(variant: VariantId) -> String {
    format!("enrolled {variant}")
}

/// That a version has not passed.
pub(super) fn gate_note(experiment: ExperimentId, qualified: &Qualified) -> RouteNote {
    let Qualified { candidate, judgement } = qualified;
    let about = format!("gate {} {}", candidate.id, digest_of(judgement));
    RouteNote { experiment, about, line: format!("not enrolled: {}: offline evaluation {judgement}", candidate.name) }
}

/// That a version passed and did not come in. The same reasons are told once.
pub(super) fn refusal_note(experiment: ExperimentId, version: &VersionName, refusals: &[Refusal]) -> RouteNote {
    let reasons: Vec<&str> = refusals.iter().map(|refusal| refusal.about).collect();
    let messages: Vec<&str> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    RouteNote {
        experiment,
        about: format!("refused {version} {}", reasons.join(" ")),
        line: format!("not enrolled: {version}, which passed offline evaluation: {}", messages.join("; ")),
    }
}
