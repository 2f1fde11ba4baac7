//! The site, and the other ways of `report`: made by the program from a store that real nights filled.

mod checkers;
mod links;
mod many;
mod resend;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rampkeeper::demo::{Scenario, Truth};

use crate::embedded::{PROMOTION, Told, World, better, day, harmful, key, told};

/// Names that people and programs have chosen before, each with its own intent.
const HOSTILE: [&str; 6] = [
    "../../../tmp/owned",
    "<script>alert(1)</script> & \"quoted\" 'single'",
    "two\r\nlines\u{7}",
    "\u{202e}gnp.exe\u{202c} עברית",
    "Steady",
    "=cmd()|' /C calc'!A0",
];

fn broken_split(experiment: &'static str) -> Scenario {
    Scenario { truth: Truth::BrokenSplit, candidate_loss: 0.7, ..better(experiment) }
}

/// A world after some nights: rolled back, promoted, held for its split, and whatever their names are.
async fn world() -> World {
    let names = ["costly", "quick", "split", "steady", "b", "c", "d"];
    let mut scenarios: Vec<Scenario> = names.into_iter().map(better).collect();
    scenarios[0] = harmful("costly");
    scenarios[2] = broken_split("split");
    let mut world = World::new(scenarios).await;
    for n in 0..4 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    world
}

/// Gives every experiment and its candidate a name of [`HOSTILE`], and one a name that is far too long.
async fn rename(world: &World) {
    let quoted = |name: &str| format!("'{}'", name.replace('\'', "''"));
    for (experiment, name) in ["costly", "quick", "split", "b", "c", "d"].into_iter().zip(HOSTILE) {
        let name = if experiment == "d" { format!("{name}{}", "x".repeat(230)) } else { name.to_owned() };
        world
            .sql(&format!(
                "UPDATE exp_experiments SET name = {} WHERE id = '{}';
                 UPDATE exp_variants SET name = {} WHERE id = '{}' AND name = 'candidate';",
                quoted(&name),
                key(experiment),
                quoted(&name),
                key(&format!("{experiment} candidate")),
            ))
            .await;
    }
}

async fn write(world: &World, folder: &str, more: &[&str]) -> Told {
    let folder = world.path(folder).display().to_string();
    told(world.command(&[&["report", "--html", &folder], more].concat())).await
}

fn written(root: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let names = links::files(root).into_keys().map(|name| root.join(name));
    names.map(|file| (file.clone(), fs::metadata(file).unwrap().modified().unwrap())).collect()
}

#[tokio::test]
async fn every_link_leads_somewhere_and_every_experiment_has_its_history() {
    let world = world().await;
    let told = write(&world, "site", &[]).await.expect(0);
    assert!(told.out.starts_with("nights: 4, experiments: 7; files: "), "{}", told.out);
    let root = world.path("site");
    let faults = links::faults(&root);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let page = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let costly = page("experiments/costly.html");
    for told in ["rolled back", "harm shown: cost_per_plan", "undo-moves", "guardrail-cost_per_plan.png", "ramp.png"] {
        assert!(costly.contains(told), "{told} is not in {costly}");
    }
    let pictures = |name: &str| links::attributes(&page(name), "src");
    let split = "split/candidate/split.png".to_owned();
    assert!(pictures("experiments/split.html").contains(&split), "the split is shown where SRM fired");
    assert!(!page("experiments/steady.html").contains("split.png"));
    let front = page("index.html");
    assert!(front.contains("nights/2026-03-05.html") && front.contains("Needs somebody"), "{front}");
    let night = page("nights/2026-03-03.html");
    assert!(night.contains("2026-03-02.html") && night.contains("2026-03-04.html"), "{night}");
    // The same numbers as the program's own words.
    let history = world.run(&["history", "costly", "--output", "json"]).await.expect(0).json();
    for entry in history["entries"].as_array().unwrap() {
        if let Some(id) = entry["id"].as_str() {
            assert!(costly.contains(id), "decision {id} is not on the page");
        }
    }
}

#[tokio::test]
async fn no_name_leaves_the_folder_or_becomes_markup() {
    let mut world = world().await;
    write(&world, "site", &[]).await.expect(0);
    world.live(day(4)).await;
    rename(&world).await;
    world.night(day(4), 0).await;
    let before = world.files();
    let told = write(&world, "site", &[]).await.expect(0);
    assert!(!told.out.contains(['\u{7}', '\u{1b}']));
    let root = world.path("site");
    let faults = links::faults(&root);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The pages under the old names are gone, and nothing else was touched.
    assert!(!root.join("experiments/costly.html").exists() && !root.join("experiments/costly").exists());
    let outside = |files: BTreeMap<String, String>| {
        files.into_iter().filter(|(name, _)| !name.starts_with("site/") && !name.contains("control.db")).collect()
    };
    let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) = (outside(before), outside(world.files()));
    assert_eq!(before, after);
    let pages: Vec<String> = links::files(&root).into_keys().filter(|name| name.starts_with("experiments/")).collect();
    let folded: std::collections::BTreeSet<String> = pages.iter().map(|page| page.to_lowercase()).collect();
    assert_eq!(folded.len(), pages.len(), "two names share a file where case is ignored: {pages:?}");
    assert!(pages.iter().any(|page| page == "experiments/steady.html"));
    assert!(pages.iter().any(|page| page.starts_with("experiments/script-alert-1-script")), "{pages:?}");
    let all: String =
        links::files(&root).into_values().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    assert!(all.contains("&lt;script&gt;alert(1)&lt;") && all.contains("עברית"));
}

#[tokio::test]
async fn the_same_record_gives_the_same_bytes_and_only_what_changed_is_written() {
    let mut world = world().await;
    write(&world, "one", &[]).await.expect(0);
    let (one, two) = (world.path("one"), world.path("two"));
    let times = written(&one);
    let again = write(&world, "one", &[]).await.expect(0);
    assert!(again.out.contains("files: 0 written, ") && again.out.contains(", 0 removed"), "{}", again.out);
    assert_eq!(written(&one), times);
    world.live(day(4)).await;
    world.night(day(4), 0).await;
    write(&world, "one", &[]).await.expect(0);
    write(&world, "two", &[]).await.expect(0);
    assert_eq!(links::files(&one), links::files(&two), "a site that is brought up to date is the same as a new one");
    let after = written(&one);
    let untouched = |name: &str| times[&one.join(name)] == after[&one.join(name)];
    assert!(untouched("nights/2026-03-02.html") && untouched("experiments/costly/candidate/forest.png"));
    assert!(untouched("experiments/costly.html") && !untouched("index.html"));
    // A file that somebody took away or spoilt is there again; what is somebody else's stays.
    fs::remove_file(one.join("experiments/costly/candidate/ramp.png")).unwrap();
    fs::write(one.join("index.html"), "spoilt").unwrap();
    fs::write(one.join("nights/notes.txt"), "mine").unwrap();
    write(&world, "one", &[]).await.expect(0);
    fs::remove_file(one.join("nights/notes.txt")).unwrap();
    assert_eq!(links::files(&one), links::files(&two));
}

#[tokio::test]
async fn fewer_nights_are_shown_where_fewer_are_wanted() {
    let world = world().await;
    write(&world, "site", &[]).await.expect(0);
    write(&world, "site", &["--nights", "2"]).await.expect(0);
    let root = world.path("site");
    let faults = links::faults(&root);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let nights: Vec<String> = links::files(&root).into_keys().filter(|name| name.starts_with("nights/")).collect();
    assert_eq!(nights, ["nights/2026-03-04.html", "nights/2026-03-05.html"]);
    assert!(fs::read_to_string(root.join("index.html")).unwrap().contains("2 earlier nights not shown"));
    assert!(fs::read_to_string(root.join("experiments/steady.html")).unwrap().contains("2 earlier nights not shown"));
}

#[tokio::test]
async fn a_folder_of_somebody_elses_pages_is_refused() {
    let world = World::new(vec![better("steady")]).await;
    fs::create_dir(world.path("theirs")).unwrap();
    fs::write(world.path("theirs/index.html"), "theirs").unwrap();
    write(&world, "theirs", &[]).await.expect(1).complains("was not written by rampkeeper");
    assert_eq!(fs::read_to_string(world.path("theirs/index.html")).unwrap(), "theirs");
    // Before the first night there is a page as well.
    write(&world, "site", &[]).await.expect(0);
    assert!(links::faults(&world.path("site")).is_empty(), "{:?}", links::faults(&world.path("site")));
    world.run(&["report"]).await.expect(1).complains("no night is on record yet");
}

#[tokio::test]
async fn a_night_is_told_again_as_text_and_as_it_is_stored() {
    let mut world = World::new(vec![harmful("costly"), better("steady")]).await;
    world.write("promotion.yml", PROMOTION);
    let mut nights = Vec::new();
    for n in 0..2 {
        world.live(day(n)).await;
        nights.push(world.night(day(n), 0).await);
    }
    let stored = world.run(&["report", "--output", "json"]).await.expect(0).json();
    assert_eq!(stored, nights[1], "the last night");
    let stored = world.run(&["report", "--as-of", &day(0).to_string(), "--output", "json"]).await.expect(0).json();
    assert_eq!(stored, nights[0]);
    let text = world.run(&["report"]).await.expect(0);
    assert!(text.out.contains("costly") && text.out.contains("ROLLED BACK"), "{}", text.out);
    let missing = world.run(&["report", "--as-of", "2026-02-01"]).await.expect(1);
    missing.complains("no night of 2026-02-01 is on record; the latest are 2026-03-03, 2026-03-02");
}

#[tokio::test]
async fn a_browser_is_opened_where_there_is_one() {
    let mut world = World::new(vec![better("steady")]).await;
    world.live(day(0)).await;
    world.night(day(0), 0).await;
    let open = |path: String, more: &'static [&'static str]| {
        let mut command = world.command(&[&["report", "--open"], more].concat());
        command.env("PATH", path).env_remove("BROWSER").env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        told(command)
    };
    // The folder of the configuration.
    let page = world.path("reports/index.html").canonicalize();
    let none = open(world.path("nothing").display().to_string(), &[]).await.expect(0);
    let page = page.or_else(|_| world.path("reports/index.html").canonicalize()).unwrap();
    assert_eq!(none.out.lines().last(), Some(page.to_str().unwrap()), "{}", none.out);
    none.complains("no browser could be opened");
    // One that writes down what it was asked to show.
    fs::create_dir(world.path("bin")).unwrap();
    let opener = world.path("bin/xdg-open");
    fs::write(&opener, format!("#!/bin/sh\necho \"$1\" > '{}'\n", world.path("opened").display())).unwrap();
    fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/bin:/usr/bin", world.path("bin").display());
    let opened = open(path, &["--as-of", "2026-03-02"]).await.expect(0);
    assert!(opened.out.contains("opened "), "{}", opened.out);
    let night = world.path("reports/nights/2026-03-02.html").canonicalize().unwrap();
    for _ in 0..100 {
        if world.path("opened").exists() && !fs::read_to_string(world.path("opened")).unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(fs::read_to_string(world.path("opened")).unwrap().trim_end(), night.to_str().unwrap());
    world.run(&["report", "--resend", "--open"]).await.expect(64);
}
