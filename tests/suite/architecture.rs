//! Who may know whom: the table of docs/design.md, held against what the code names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

struct Rule {
    may_use: BTreeSet<String>,
    never: BTreeSet<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under the head `| module | may use | never |`.
fn rules() -> BTreeMap<String, Rule> {
    let design = read(&root().join("docs/design.md"));
    let rows = design.lines().skip_while(|line| !line.starts_with("| module | may use | never |")).skip(2);
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split(',')
            .map(|name| name.trim().trim_matches('`').to_owned())
            .filter(|n| !n.is_empty() && n != "–")
            .collect()
    };
    let rules: BTreeMap<String, Rule> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            assert_eq!(cells.len(), 3, "{line}");
            let module = cells[0].trim().trim_matches('`').to_owned();
            (module, Rule { may_use: names(cells[1]), never: names(cells[2]) })
        })
        .collect();
    assert!(rules.len() > 10, "the table was not found");
    rules
}

/// The modules that lib.rs declares.
fn modules() -> BTreeSet<String> {
    let lib = read(&root().join("src/lib.rs"));
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

fn sources(module: &str) -> Vec<PathBuf> {
    let src = root().join("src");
    let mut found: Vec<PathBuf> = [src.join(format!("{module}.rs"))].into_iter().filter(|file| file.exists()).collect();
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "module {module} has no file");
    found
}

/// The code of a file without its comments; what follows `#[cfg(test)]`, or lies in a folder of tests, is left out.
fn code(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let for_tests = ["tests.rs", "fixture.rs", "contract.rs", "sample.rs", "fake_mlflow.rs"];
    let in_tests = path.parent().is_some_and(|folder| folder.ends_with("tests"));
    if for_tests.contains(&name) || name.ends_with("_tests.rs") || in_tests {
        return String::new();
    }
    let text = read(path);
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start() == "#[cfg(test)]" && !text.contains(&format!("{line}\nmod ")) {
            break;
        }
        if line.starts_with("mod tests {") {
            break;
        }
        lines.push(line.split("//").next().unwrap_or_default());
    }
    lines.join("\n")
}

/// The names that follow `prefix` in the code: `crate::domain::…` and `use crate::{domain, stats}` alike.
fn named_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                names.extend(list.split(',').map(|name| word(name.trim())));
            }
            None => {
                names.insert(word(rest));
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn every_module_has_a_row_and_every_row_a_module() {
    assert_eq!(rules().into_keys().collect::<BTreeSet<_>>(), modules());
}

#[test]
fn modules_know_only_whom_the_table_allows() {
    let modules = modules();
    let mut faults = Vec::new();
    for (module, rule) in rules() {
        for file in sources(&module) {
            let code = code(&file);
            let place = file.strip_prefix(root()).unwrap().display().to_string();
            for used in named_after(&code, "crate::").intersection(&modules) {
                if *used != module && !rule.may_use.contains(used) {
                    faults.push(format!("{place}: {module} may not use {used}"));
                }
            }
            for banned in &rule.never {
                if code.contains(&format!("{banned}::")) || code.contains(&format!("use {banned}")) {
                    faults.push(format!("{place}: {module} never uses {banned}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_modules_neither_wait_nor_read_the_clock() {
    for module in ["domain", "stats", "evidence", "decide", "plan", "report", "chart"] {
        for file in sources(module) {
            let code = code(&file);
            for word in [
                "async fn",
                ".await",
                "Timestamp::now",
                "Zoned::now",
                "SystemTime",
                "Instant::now",
                "std::fs",
                "std::env",
            ] {
                assert!(!code.contains(word), "{}: {word} in a pure module", file.display());
            }
        }
    }
}

#[test]
fn the_reader_of_names_reads_both_ways_of_naming() {
    let found = named_after("use crate::{domain, stats::Moments};\nlet x = crate::plan::plan();", "crate::");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["domain", "plan", "stats"]);
}
