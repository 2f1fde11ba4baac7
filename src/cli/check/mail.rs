//! The mail server, up to the point where a mail would be handed over, and the readers.

use std::path::Path;

use super::Asked;
use super::certificate;
use super::experiments::Known;
use super::finding::{Area, Finding, in_time, some_of};
use crate::cli::connect::{self, Patience};
use crate::night;

const AREA: Area = Area::Mail;

/// What is to be said of the way that mails go. Nothing is sent.
pub(super) async fn server(asked: &Asked<'_>) -> Vec<Finding> {
    let Some(mail) = &asked.config.settings.mail else {
        let mend = "write `mail` with `from`, `to` and `smtp`, or be sure that somebody reads the pages";
        return vec![Finding::warn(AREA, "mail", "none is configured; nobody is told of the nights", mend)];
    };
    let Some(smtp) = &mail.smtp else {
        let folder = asked.config.base.join(mail.directory.clone().unwrap_or_default());
        let detail = format!("written to the folder {}", folder.display());
        return vec![match std::fs::metadata(&folder) {
            Ok(found) if !found.is_dir() => Finding::fail(
                AREA,
                "folder",
                format!("{} is no folder", folder.display()),
                "name a folder under `mail.directory`",
            ),
            _ => Finding::ok(AREA, "folder", detail),
        }];
    };
    let mailer = match connect::smtp_mailer(asked.config, smtp, Patience::SHORT) {
        Ok(mailer) => mailer,
        Err(error) => {
            let mend = "correct `mail.smtp` in the configuration";
            return vec![Finding::fail(AREA, "server", super::finding::in_one_line(&error), mend)];
        }
    };
    let way = crate::notify::Mailer::describe(&mailer);
    match in_time(mailer.check()).await {
        Ok(certificate) => {
            let mut findings = vec![Finding::ok(AREA, "server", format!("{way}: lets us in"))];
            findings.extend(certificate::finding(AREA, certificate.as_deref(), asked.now));
            findings
        }
        Err(error) => {
            let mend = "correct `mail.smtp` in the configuration, or mend the server";
            vec![Finding::fail(AREA, "server", error, mend)]
        }
    }
}

/// What is to be said of templates and texts of somebody's own. A night uses the built-in ones in place of a broken one.
fn templates(asked: &Asked<'_>, folder: &Path) -> Vec<Finding> {
    let folder = asked.config.base.join(folder);
    let stationery = night::stationery(asked.config);
    let faults = stationery.faults().iter().map(|fault| {
        let detail = format!("{}: {fault}", folder.display());
        Finding::fail(AREA, "templates", detail, "correct the file, or take it out of `mail.templates`")
    });
    let faults: Vec<Finding> = faults.collect();
    match faults.is_empty() {
        true => vec![Finding::ok(AREA, "templates", format!("those of {} can be used", folder.display()))],
        false => faults,
    }
}

/// What is to be said of those who are told.
pub(super) async fn readers(asked: &Asked<'_>, known: Option<&Known>) -> Vec<Finding> {
    let Some(mail) = &asked.config.settings.mail else { return Vec::new() };
    let mut findings = vec![Finding::ok(AREA, "readers", some_of(&mail.to))];
    findings.extend(mail.templates.as_ref().map_or_else(Vec::new, |folder| templates(asked, folder)));
    let owners = |name: &str| asked.config.policies.of(name).owners.clone();
    let active: Vec<&str> =
        known.into_iter().flat_map(Known::active).map(|record| record.experiment.name.as_str()).collect();
    let unowned: Vec<&str> = active.iter().copied().filter(|name| owners(name).is_empty()).collect();
    if !unowned.is_empty() {
        let detail = format!("nobody answers for {}", some_of(&unowned));
        let mend = "write `owners: [name@example.com]` in promotion.yml, under `defaults` or for the experiment";
        findings.push(Finding::warn(AREA, "owners", detail, mend));
    }
    for name in active.into_iter().filter(|name| !unowned.contains(name)) {
        findings.push(Finding::ok(AREA, format!("owners of {name}"), some_of(&owners(name))));
    }
    findings
}
