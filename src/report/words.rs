//! Every word of the mails in one place, so that they can be translated: a key, a sentence, and what is filled into it.
//! The sentences of reasons are not here; record, command line and mail share those.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::stationery::StationeryFault;

/// The name of the file that may translate them.
pub const TEXT_FILE: &str = "text.yml";

const SOURCE: &str = include_str!("templates/text.yml");

static BUILT_IN: LazyLock<Words> = LazyLock::new(|| {
    let entries = serde_saphyr::from_str(SOURCE).expect("the built-in texts are tested to parse");
    Words { entries: Arc::new(entries) }
});

/// The catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    entries: Arc<BTreeMap<String, Entry>>,
}

/// One sentence, or one for 1 and another for other counts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Entry {
    Always(String),
    Counted { one: String, other: String },
}

impl Words {
    /// The words that the program brings along.
    pub fn built_in() -> Words {
        BUILT_IN.clone()
    }

    /// The same with some of them replaced by a file's. What cannot be used stays as it was.
    pub(super) fn replaced_by(&self, source: &str) -> (Words, Vec<StationeryFault>) {
        let fault = |line, what| StationeryFault { file: TEXT_FILE.to_owned(), line, what };
        let given: BTreeMap<String, Entry> = match serde_saphyr::from_str(source) {
            Ok(given) => given,
            Err(error) => {
                let line = error.location().map(|location| location.line() as usize);
                return (self.clone(), vec![fault(line, error.to_string())]);
            }
        };
        let mut entries = (*self.entries).clone();
        let mut faults = Vec::new();
        for (key, entry) in given {
            let line = source.lines().position(|line| line.starts_with(&format!("{key}:"))).map(|at| at + 1);
            match entries.get(&key) {
                None => faults.push(fault(line, format!("there is no text {key:?}; the keys are those of the built-in file"))),
                Some(before) => match before.missing_in(&entry) {
                    Some(unknown) => faults.push(fault(
                        line,
                        format!("{{{unknown}}} is not filled into {key:?}; leave it out, or write it as the built-in text does"),
                    )),
                    None => {
                        entries.insert(key, entry);
                    }
                },
            }
        }
        (Words { entries: Arc::new(entries) }, faults)
    }

    /// A sentence without anything to fill in.
    pub fn say(&self, key: &str) -> String {
        self.fill(key, &[])
    }

    /// A sentence.
    pub fn fill(&self, key: &str, values: &[(&str, &dyn Display)]) -> String {
        self.render(key, None, values)
    }

    /// A sentence that counts something; `{n}` is the count.
    pub fn count(&self, key: &str, n: u64) -> String {
        self.render(key, Some(n), &[("n", &Count(n))])
    }

    pub(super) fn render(&self, key: &str, n: Option<u64>, values: &[(&str, &dyn Display)]) -> String {
        let pattern = match self.entries.get(key) {
            Some(Entry::Always(text)) => text,
            Some(Entry::Counted { one, .. }) if n == Some(1) => one,
            Some(Entry::Counted { other, .. }) => other,
            // A template of somebody's own may ask for what is not there; it is better shown than silent.
            None => key,
        };
        let mut text = String::with_capacity(pattern.len() + 16);
        let mut rest = pattern;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            text.push_str(before);
            let Some(close) = after.find('}') else { break };
            let name = &after[1..close];
            match values.iter().find(|(key, _)| *key == name) {
                Some((_, value)) => text.push_str(&value.to_string()),
                None => text.push_str(&after[..=close]),
            }
            rest = &after[close + 1..];
        }
        text.push_str(rest);
        text
    }

    /// Whether there is such a text.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }
}

impl Entry {
    fn texts(&self) -> Vec<&str> {
        match self {
            Entry::Always(text) => vec![text],
            Entry::Counted { one, other } => vec![one, other],
        }
    }

    /// What another entry would have filled in that this one does not know.
    fn missing_in(&self, other: &Entry) -> Option<String> {
        let names =
            |entry: &Entry| -> Vec<String> { entry.texts().iter().flat_map(|text| placeholders(text)).collect() };
        let known = names(self);
        names(other).into_iter().find(|name| !known.contains(name))
    }
}

/// The names between braces.
fn placeholders(text: &str) -> Vec<String> {
    let parts = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name.to_owned()).collect()
}

/// A count with thousands set apart: `40 000` would break, so `40,000`.
pub(super) struct Count(pub u64);

impl Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_filled_and_counts_have_their_form() {
        let words = Words::built_in();
        assert_eq!(words.fill("from_to", &[("from", &"10 %"), ("to", &"25 %")]), "10 % → 25 %");
        assert_eq!(words.count("ramped", 1), "1 ramped");
        assert_eq!(words.count("ramped", 1_200), "1,200 ramped");
        // What is filled in is not read again.
        assert_eq!(words.fill("stays", &[("share", &"{share} {n}")]), "stays at {share} {n}");
        assert_eq!(words.say("no such key"), "no such key");
    }

    #[test]
    fn a_file_replaces_what_it_has_and_its_faults_have_a_line() {
        let (words, faults) = Words::built_in()
            .replaced_by("ramped: { one: \"1 erhöht\", other: \"{n} erhöht\" }\nrampd: x\nstays: \"bleibt {wo}\"\n");
        assert_eq!(words.count("ramped", 2), "2 erhöht");
        assert_eq!(words.fill("stays", &[("share", &"10 %")]), "stays at 10 %");
        let told: Vec<_> = faults.iter().map(|f| (f.line, f.what.as_str())).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().any(|(line, what)| *line == Some(2) && what.contains("\"rampd\"")), "{told:?}");
        assert!(told.iter().any(|(line, what)| *line == Some(3) && what.contains("{wo}")), "{told:?}");
        let (same, faults) = Words::built_in().replaced_by("a: [\n");
        assert_eq!(same, Words::built_in());
        assert!(faults[0].line.is_some(), "{faults:?}");
    }
}
