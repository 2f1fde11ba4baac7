//! Files of `[sections]` with `key = value` lines, as MLflow and Databricks keep credentials in.

use std::collections::BTreeMap;
use std::path::Path;

/// One section of a file, its keys in small letters; None where the file or the section is not there.
pub(super) fn section(file: &Path, name: &str) -> Option<BTreeMap<String, String>> {
    read(&std::fs::read_to_string(file).ok()?, name)
}

fn read(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = section.trim() == name;
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, false, Some((key, value))) =
            (inside, line.starts_with(['#', ';']), line.split_once(['=', ':']))
        {
            found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_section_that_is_asked_for() {
        let text =
            "# comment\nhost = outside\n[DEFAULT]\nHost = https://a.example\n; token = no\n\n[ other ]\ntoken=x=y\n";
        let default = read(text, "DEFAULT").unwrap();
        assert_eq!(default, BTreeMap::from([("host".to_owned(), "https://a.example".to_owned())]));
        assert_eq!(read(text, "other").unwrap()["token"], "x=y");
        assert_eq!(read(text, "nobody"), None);
    }
}
