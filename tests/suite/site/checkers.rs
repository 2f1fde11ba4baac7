//! The site by the eyes of other programs (`tests/mail/site.mjs`): a validator of HTML, and a browser with axe, light and dark,
//! on a phone and on a desk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::{links, rename, world, write};
use crate::embedded::day;

/// What the checkers say of a site.
#[derive(Debug, Deserialize)]
struct Judgement {
    checked: BTreeMap<String, BTreeSet<String>>,
    complaints: Vec<Complaint>,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    page: String,
    checker: String,
    rule: String,
    place: String,
    words: String,
}

async fn judge(site: &Path) -> Judgement {
    let node = std::env::var_os("RAMPKEEPER_TEST_NODE_BIN").unwrap_or_else(|| "node".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/site.mjs");
    let mut command = Command::new(node);
    command.arg(script).arg(site).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap_or_else(|error| panic!("tests/mail/site.mjs: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the site's checkers could not run (tests/run installs them):\n{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("tests/mail/site.mjs: {error}\n{said}"))
}

/// Panics unless both programs have looked at every page; gives what they found.
fn complaints(judgement: &Judgement, site: &Path) -> Vec<String> {
    let pages: BTreeSet<String> = links::files(site).into_keys().filter(|name| name.ends_with(".html")).collect();
    let checked: Vec<(&str, &BTreeSet<String>)> =
        judgement.checked.iter().map(|(by, seen)| (by.as_str(), seen)).collect();
    assert_eq!(checked, [("axe", &pages), ("html-validate", &pages)]);
    let told = |c: &Complaint| format!("{}: {} {} at {}: {}", c.page, c.checker, c.rule, c.place, c.words);
    judgement.complaints.iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_correct_and_readable_light_and_dark_on_a_phone_and_on_a_desk() {
    let mut world = world().await;
    world.live(day(4)).await;
    // Under names that nobody would choose, and one plain one.
    rename(&world).await;
    world.night(day(4), 0).await;
    write(&world, "site", &[]).await.expect(0);
    let site = world.path("site");
    let found = complaints(&judge(&site).await, &site);
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

/// That nothing is found above is no want of eyes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_page_is_found() {
    let site = tempfile::tempdir().expect("a folder");
    let page = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Broken</title></head>
<body><main><h1>Broken</h1><p style="color: #ccc; background: #fff">Hardly to be read</p>
<div id="a"></div><div id="a"></div><img src="none.png" alt="A picture that is not there" width="10" height="10">
<p style="width: 900px">wide</p></main></body></html>
"#;
    fs::write(site.path().join("index.html"), page).expect("a page");
    let found = complaints(&judge(site.path()).await, site.path());
    for wanted in ["html-validate no-dup-id", "axe color-contrast", "pictures shown", "overflow 320 px"] {
        assert!(found.iter().any(|complaint| complaint.contains(wanted)), "{wanted} is not among {found:#?}");
    }
}
