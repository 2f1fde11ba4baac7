//! Who reads what of a night: everything for the readers of `mail.to`, a part for each role, their own experiments for
//! owners, and a mail of its own for each rollback and promotion.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::attach::Attach;
use super::night::{CandidateReport, ExperimentReport, NightReport, Standing};
use super::view::Class;
use crate::decide::Outcome;

/// Who reads the mails, and whom they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Readers {
    /// The sender.
    pub from: String,
    /// Those who read everything.
    pub to: Vec<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// Those who read a part.
    pub roles: Vec<Role>,
    /// Whether owners read of their experiments.
    pub owners: bool,
    /// Whether a night on which nothing happened is told.
    pub quiet: bool,
    /// Whether mails have pictures.
    pub pictures: bool,
    /// The files that digests bring along.
    pub attach: Vec<Attach>,
    /// What has a mail of its own.
    pub actions: Vec<ActionKind>,
    /// Where the whole night can be read, if it can.
    pub page: Option<String>,
}

/// Some readers and what they want to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// The readers.
    pub to: Vec<String>,
    /// Names of experiments, in which `*` stands for anything; none for all.
    pub experiments: Option<Vec<String>>,
    /// What of them.
    pub wants: Wants,
}

/// Which experiments are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Those that the job changed.
    pub acted: bool,
    /// Those that need somebody.
    pub needs_you: bool,
    /// Those that could not be evaluated, or are not as decided.
    pub broken: bool,
    /// The others.
    pub quiet: bool,
}

/// A decision that has a mail of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A candidate was taken off.
    Rollback,
    /// A candidate became the baseline.
    Promote,
    /// A candidate got more.
    Ramp,
}

impl Wants {
    /// Everything.
    pub const ALL: Wants = Wants { acted: true, needs_you: true, broken: true, quiet: true };
}

impl Readers {
    /// Readers of everything, with all else as it is unless told.
    pub fn new(from: impl Into<String>, to: Vec<String>) -> Readers {
        Readers {
            from: from.into(),
            to,
            reply_to: None,
            roles: Vec::new(),
            owners: true,
            quiet: true,
            pictures: true,
            attach: Vec::new(),
            actions: vec![ActionKind::Rollback, ActionKind::Promote],
            page: None,
        }
    }

    /// The domain of the sender's address.
    pub fn domain(&self) -> &str {
        domain_of(&self.from)
    }
}

/// The domain of an address such as `Name <user@domain>`.
fn domain_of(address: &str) -> &str {
    let domain = address.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    if domain.is_empty() { "localhost" } else { domain }
}

/// The address within `Name <user@domain>`, to compare by.
fn bare(address: &str) -> String {
    let inside = address.rsplit_once('<').map_or(address, |(_, inside)| inside.trim_end().trim_end_matches('>'));
    inside.trim().to_lowercase()
}

/// A mail that is to be written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The readers.
    pub to: Vec<String>,
    /// What it is about.
    pub about: About,
    /// The Message-ID without its angle brackets. It follows from what is told and to whom, so the same is told once.
    pub message_id: String,
    /// The list's name in front of the domain.
    pub(super) list: String,
    /// What these readers are told of the night.
    pub night: NightReport,
}

/// What a mail is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The whole night.
    Everything,
    /// What a role wants.
    Role,
    /// An owner's experiments.
    Owned,
    /// One decision.
    Action {
        /// It.
        decision: Uuid,
    },
}

/// The mails of a night, the digests first.
pub fn letters(night: &NightReport, readers: &Readers) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::new();
    let digest = |to: &[String], about: About, list: String, part: NightReport| {
        let digest = told_digest(&part);
        let domain = readers.domain();
        let message_id = match about {
            About::Everything => format!("night-{}.{}@{domain}", part.as_of, &digest[..16]),
            About::Role | About::Owned | About::Action { .. } => {
                let mut who: Vec<String> = to.iter().map(|to| bare(to)).collect();
                who.sort();
                format!("night-{}.{}.{}@{domain}", part.as_of, &digest[..16], &hex(&who.join(" "))[..8])
            }
        };
        Letter { to: to.to_vec(), about, message_id, list, night: part }
    };
    if readers.quiet || !is_quiet(night) {
        letters.push(digest(&readers.to, About::Everything, "rampkeeper".to_owned(), night.clone()));
    }
    let mut seen: BTreeSet<String> = readers.to.iter().map(|to| bare(to)).collect();
    for role in &readers.roles {
        let part = part_of(night, |experiment| role.reads(experiment));
        let bare_part = part.experiments.is_empty() && part.incidents.is_empty();
        if bare_part || (is_quiet(&part) && !(role.wants.quiet && readers.quiet)) {
            continue;
        }
        let part = NightReport { unfinished: unfinished_for(night, role), ..part };
        letters.push(digest(&role.to, About::Role, format!("{}.rampkeeper", slug(&role.to.join("-"))), part));
    }
    if readers.owners {
        for (to, names) in teams(night, &mut seen) {
            let part = part_of(night, |experiment| names.contains(experiment.name.as_str()));
            if is_quiet(&part) && !readers.quiet {
                continue;
            }
            let list = match names.iter().next() {
                Some(only) if names.len() == 1 => format!("{}.rampkeeper", slug(only)),
                _ => format!("{}.rampkeeper", slug(&to.join("-"))),
            };
            letters.push(digest(&to, About::Owned, list, part));
        }
    }
    letters.extend(action_letters(night, readers));
    letters
}

/// A mail of its own for each decision that wants one; everybody who is told of the experiment reads the same mail.
fn action_letters(night: &NightReport, readers: &Readers) -> Vec<Letter> {
    let decided = night.experiments.iter().filter(|e| e.standing == Standing::Decided);
    let acts = decided.flat_map(|e| e.candidates.iter().map(move |c| (e, c)));
    acts.filter(|(_, candidate)| readers.actions.iter().any(|kind| kind.is(&candidate.decision.outcome)))
        .filter_map(|(experiment, candidate)| {
            let decision = candidate.decision_id?;
            let roles = readers.roles.iter().filter(|role| role.wants.acted && role.names(experiment));
            let owners = experiment.owners.iter().filter(|_| readers.owners);
            let mut seen = BTreeSet::new();
            let all = readers.to.iter().chain(roles.flat_map(|role| &role.to)).chain(owners);
            let to: Vec<String> = all.filter(|to| seen.insert(bare(to))).cloned().collect();
            let only = ExperimentReport { candidates: vec![candidate.clone()], ..experiment.clone() };
            let incidents = night.incidents.iter().filter(|i| i.decision == Some(decision)).cloned().collect();
            let none = Vec::new;
            let part = NightReport {
                experiments: vec![only],
                incidents,
                resumed: none(),
                moved: none(),
                unfinished: none(),
                ..night.clone()
            };
            Some(Letter {
                to,
                about: About::Action { decision },
                message_id: action_id(decision, readers),
                list: format!("{}.rampkeeper", slug(&experiment.name)),
                night: part,
            })
        })
        .collect()
}

/// The Message-ID of a decision's own mail. The store looks it up by this form.
pub fn action_id(decision: Uuid, readers: &Readers) -> String {
    format!("action-{decision}@{}", readers.domain())
}

/// The owners, by the experiments that they own and are told of tonight; who reads everything is left out.
fn teams<'a>(night: &'a NightReport, seen: &mut BTreeSet<String>) -> Vec<(Vec<String>, BTreeSet<&'a str>)> {
    let mut owned: BTreeMap<String, (String, BTreeSet<&str>)> = BTreeMap::new();
    for experiment in &night.experiments {
        for owner in experiment.owners.iter().filter(|owner| !seen.contains(&bare(owner))) {
            let (_, names) = owned.entry(bare(owner)).or_insert_with(|| (owner.clone(), BTreeSet::new()));
            names.insert(&experiment.name);
        }
    }
    // Owners of the same experiments are one team and get one mail.
    let mut teams: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (owner, names) in owned.into_values() {
        teams.entry(names).or_default().push(owner);
    }
    teams.into_iter().map(|(names, to)| (to, names)).collect()
}

impl Role {
    fn names(&self, experiment: &ExperimentReport) -> bool {
        let patterns = self.experiments.as_ref();
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| matches(pattern, &experiment.name)))
    }

    fn reads(&self, experiment: &ExperimentReport) -> bool {
        let class = Class::of(experiment);
        let Wants { acted, needs_you, broken, quiet } = self.wants;
        let wanted = (acted && class.acted)
            || (needs_you && class.needs_you)
            || (broken && class.broken)
            || (quiet && !class.acted && !class.needs_you && !class.broken);
        wanted && self.names(experiment)
    }
}

/// What is left to do concerns no single experiment here, so only who reads of all and wants to know what is broken gets it.
fn unfinished_for(night: &NightReport, role: &Role) -> Vec<String> {
    if role.experiments.is_none() && role.wants.broken { night.unfinished.clone() } else { Vec::new() }
}

impl ActionKind {
    /// Whether an outcome is of that kind.
    pub(super) fn is(self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Rollback => self == ActionKind::Rollback,
            Outcome::Promote => self == ActionKind::Promote,
            Outcome::Ramp { .. } => self == ActionKind::Ramp,
            Outcome::Hold => false,
        }
    }
}

/// The night as far as some experiments are concerned.
fn part_of(night: &NightReport, wanted: impl Fn(&ExperimentReport) -> bool) -> NightReport {
    let experiments: Vec<ExperimentReport> = night.experiments.iter().filter(|e| wanted(e)).cloned().collect();
    let names: BTreeSet<&str> = experiments.iter().map(|e| e.name.as_str()).collect();
    let about = |i: &&super::night::Incident| i.experiment.as_deref().is_some_and(|name| names.contains(name));
    let incidents = night.incidents.iter().filter(about).cloned().collect();
    NightReport {
        incidents,
        resumed: Vec::new(),
        moved: Vec::new(),
        unfinished: Vec::new(),
        experiments,
        ..night.clone()
    }
}

/// Whether nothing happened.
fn is_quiet(night: &NightReport) -> bool {
    let classes = night.experiments.iter().map(Class::of);
    let told = classes.into_iter().any(Class::is_told);
    !told && night.incidents.is_empty() && night.unfinished.is_empty() && night.resumed.is_empty()
}

/// What a night tells, as a digest: the same decisions give the same.
pub(super) fn told_digest(report: &NightReport) -> String {
    let mut told = String::new();
    for experiment in &report.experiments {
        told.push_str(&format!("{} {:?} {}\n", experiment.name, experiment.standing, experiment.outside_change));
        for CandidateReport { name, decision_id, revision, .. } in &experiment.candidates {
            told.push_str(&format!("{name} {decision_id:?} {revision}\n"));
        }
        for line in experiment.by_hand.iter().chain(&experiment.route) {
            told.push_str(&format!("{line}\n"));
        }
    }
    for incident in report.incidents.iter().filter(|incident| incident.new) {
        told.push_str(&format!("{}\n", incident.id));
    }
    hex(&told)
}

fn hex(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// A name as a part of an identifier: letters, digits and hyphens, of bounded length; different names stay different.
pub(super) fn slug(name: &str) -> String {
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    let faithful =
        name.len() <= 60 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if faithful && !kept.is_empty() {
        return kept.to_owned();
    }
    let head: String = kept.chars().take(40).collect();
    format!("{}{}{}", head, if head.is_empty() { "" } else { "-" }, &hex(name)[..8])
}

/// Whether a name is as the pattern says, in which `*` stands for anything.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("planner_*", "planner_exp", true),
            ("planner_*", "a_planner_exp", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn names_of_lists_are_clean_and_differ_where_names_do() {
        assert_eq!(slug("planner_policy_exp"), "planner-policy-exp");
        assert_ne!(slug("Ü"), slug("Ö"));
        assert_ne!(slug("a b"), slug("a-b"));
        assert!(slug(&"x".repeat(500)).len() < 60);
        assert_eq!(bare("Ana <Ana@Example.com>"), "ana@example.com");
    }
}
