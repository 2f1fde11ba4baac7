//! What README.md tells its readers to type is typed here, against real servers; and the examples are what they say.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rampkeeper::config;
use tokio::process::Command;

use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;
use crate::support::smtp::{Rules, Smtp};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks of a text, each with its language, in order.
fn fenced(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push((language.to_owned(), block.join("\n")));
        }
    }
    found
}

/// The fenced blocks of that language, in order.
fn blocks(language: &str) -> Vec<String> {
    fenced(&readme()).into_iter().filter(|(found, _)| found == language).map(|(_, block)| block).collect()
}

/// The section of that heading.
fn section(heading: &str) -> String {
    let readme = readme();
    let (_, rest) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// What the README shows of the mails of the test that drives the whole route.
pub fn mails_of_the_route() -> Vec<String> {
    let shown = fenced(&section(ROUTE)).into_iter().find(|(_, block)| block.starts_with("[rampkeeper] "));
    shown.unwrap().1.lines().map(|line| line.trim().to_owned()).collect()
}

const ROUTE: &str = "From a trained model to production";

/// Holds what is shown behind each of the section's commands against what these have said.
fn is_said(told: &str, shown: &[(String, String)]) {
    let squeeze = |text: &str| text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut compared = 0;
    for pair in shown.windows(2) {
        let [(of, commands), (language, text)] = pair else { unreachable!() };
        if of != "sh" || language != "text" {
            continue;
        }
        let begin = told.find(&begun(commands)).unwrap() + begun(commands).len();
        let said = told[begin..].split("\n== ").next().unwrap();
        assert_eq!(squeeze(said), squeeze(text), "behind\n{commands}\nis said\n{said}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}

/// A line by which the output of a block is found again.
fn begun(block: &str) -> String {
    format!("== {}\n", block.lines().last().unwrap_or_default().replace(['"', '\''], ""))
}

/// A folder with `rampkeeper` in it, as an installation would put it on the path.
fn install(dir: &Path) -> String {
    let bin = dir.join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_rampkeeper"), bin.join("rampkeeper")).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

async fn bash(script: &str, dir: &Path, path: &str) -> (String, bool) {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(dir).env("PATH", path).env_remove("RAMPKEEPER_CONFIG");
    let output = bash.output().await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (told, output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_two_commands_are_the_demo_and_the_tests() {
    let blocks = blocks("sh");
    let dir = tempfile::tempdir().unwrap();
    let path = install(dir.path());
    let demo = blocks[0].replace("cargo run --release --", "rampkeeper");
    assert_eq!(demo, "rampkeeper demo");
    let (told, fine) = bash(&demo, dir.path(), &path).await;
    assert!(fine, "{told}");
    // The table in the README is the demo's own.
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = readme();
    let table = shown.split("## ").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('│')).collect();
    assert!(rows.len() >= 7, "{rows:?}");
    for row in rows {
        assert!(squeeze(&told).contains(&squeeze(row)), "not what the demo says: {row}\n{told}");
    }
    assert_eq!(blocks[1], "tests/run");
    assert!(root().join("tests/run").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_on_real_servers_work_as_written() {
    let (postgres, mlflow) = tokio::join!(Postgres::shared(), Mlflow::shared());
    let smtp = Smtp::start(Rules::default()).await;
    let url = postgres.database("app").await;
    let database = url.rsplit('/').next().unwrap().to_owned();
    let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    postgres.sql(&url, "DROP ROLE IF EXISTS rampkeeper; CREATE ROLE rampkeeper LOGIN PASSWORD 'change-me'").await;
    postgres.sql(&url, &format!("GRANT CREATE, CONNECT ON DATABASE \"{database}\" TO rampkeeper")).await;

    let dir = tempfile::tempdir().unwrap();
    let path = install(dir.path());
    let here = |text: &str| {
        text.replace("localhost:5432/app", &format!("{host}/{database}")).replace("http://localhost:5000", mlflow.url())
    };
    std::fs::create_dir(dir.path().join("config")).unwrap();
    for name in ["rampkeeper.postgres", "metrics", "promotion"] {
        let name = format!("config/{name}.example.yml");
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        let text = here(&text)
            .replace("port: 587", &format!("port: {}", smtp.port()))
            .replace("encryption: starttls", "encryption: none");
        std::fs::write(dir.path().join(name), text).unwrap();
    }

    // The one command that the README says ends with 1 where it stands.
    let check = "rampkeeper check --as-of 2026-03-31";
    let commands = blocks("sh");
    let told_apart = commands[2..].iter().map(|block| {
        // The example's freezes name days of the calendar on which this test may run.
        let block_of_today = block.replace("rampkeeper enroll ", "rampkeeper enroll --now 2026-04-01T08:00:00Z ");
        format!("echo \"{}\"\n{block_of_today}\n", begun(block).trim_end())
    });
    let script = here(&told_apart.collect::<String>());
    assert!(script.contains(check));
    let script = script.replace(check, &format!("{check} && exit 9 || test $? -eq 1"));
    let (told, fine) = bash(&script, dir.path(), &path).await;
    assert!(fine, "{told}");

    is_said(&told, &fenced(&section(ROUTE)));
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for shown in [
        &format!("The tables of postgres://rampkeeper:***@{host}/{database} are up to date."),
        "As of 2026-03-31: 1 held",
        "planner_policy_exp planner_v2 hold 10 % stale: the events of 2026-03-31 are missing",
        "\"standing\": \"already_decided\"",
        "nights: 1, experiments: 1; files: ",
        "sent [rampkeeper] 2026-03-31: 1 held to ana@example.com",
        "Nothing to do: the tables are as the file says.",
        "planner_policy/3 begins as planner_policy_v3 in planner_week_exp with 10 %",
        "registry: point alias challenger at planner_model version 3",
    ] {
        assert!(squeeze(&told.replace('│', " ")).contains(shown), "{shown} is not in {told}");
    }
    let mails = smtp.mails();
    assert_eq!(mails[1].to, ["ana@example.com"], "the first, sent again to somebody else");
    assert!(dir.path().join("site/experiments/planner_policy_exp.html").is_file());
    // The night's, for the two runs; after the rollback by hand a digest, and the action's own.
    let subjects: Vec<&str> = mails.iter().filter_map(|mail| mail.header("Subject")).collect();
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    assert!(subjects[2..].iter().any(|subject| subject.ends_with("1 rolled back")), "{subjects:?}");
    let action = "[rampkeeper] ROLLED BACK planner_policy_exp/planner_v2";
    assert!(subjects[2..].iter().any(|subject| subject.starts_with(action)), "{subjects:?}");
    assert_eq!(mails[0].header("Subject"), Some("[rampkeeper] 2026-03-31: 1 held"));
}

#[test]
fn every_example_is_a_valid_configuration_as_it_is() {
    for name in ["rampkeeper.example.yml", "rampkeeper.postgres.example.yml"] {
        let loaded = config::load(&root().join("config").join(name));
        assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
    let overlay = root().join("config/deploy/kubernetes/overlays/example/config");
    for name in ["metrics", "promotion"] {
        // The first line names the schema, which lies elsewhere from there.
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned();
        let (copy, original) = (overlay.join(format!("{name}.yml")), root().join(format!("config/{name}.example.yml")));
        assert_eq!(read(copy), read(original), "the overlay's {name}.yml is a copy of the example");
    }
    let overlay = overlay.join("rampkeeper.yml");
    let loaded = config::load(&overlay);
    assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
}

#[test]
fn every_file_that_the_readme_points_to_exists() {
    let readme = readme();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let missing: Vec<&str> = links.filter(|link| !link.starts_with("http") && !root().join(link).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
