//! The templates, the words, and what stands in for a file of somebody's own that cannot be used: a mail that looks
//! otherwise than wanted is read, one that is lost is not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::words::{TEXT_FILE, Words};

/// The templates by name. Those with `.html` escape what is filled in.
const TEMPLATES: [(&str, &str); 12] = [
    ("style.html", include_str!("templates/style.html")),
    ("layout.html", include_str!("templates/layout.html")),
    ("digest.html", include_str!("templates/digest.html")),
    ("card.html", include_str!("templates/card.html")),
    ("line.html", include_str!("templates/line.html")),
    ("action.html", include_str!("templates/action.html")),
    ("follow.html", include_str!("templates/follow.html")),
    ("digest.txt", include_str!("templates/digest.txt")),
    ("card.txt", include_str!("templates/card.txt")),
    ("line.txt", include_str!("templates/line.txt")),
    ("action.txt", include_str!("templates/action.txt")),
    ("follow.txt", include_str!("templates/follow.txt")),
];

static BUILT_IN: LazyLock<Stationery> = LazyLock::new(|| {
    let words = Words::built_in();
    Stationery {
        environment: Arc::new(environment(&words, &BTreeMap::new())),
        own: false,
        words,
        faults: Arc::default(),
    }
});

/// What mails are written with.
#[derive(Clone)]
pub struct Stationery {
    environment: Arc<Environment<'static>>,
    /// Whether a template is somebody's own.
    own: bool,
    words: Words,
    faults: Arc<Vec<StationeryFault>>,
}

/// A file of somebody's own that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationeryFault {
    /// Its name in the folder.
    pub file: String,
    /// The line, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for StationeryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl fmt::Debug for Stationery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stationery").field("own", &self.own).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Stationery {
    /// What the program brings along.
    pub fn built_in() -> Stationery {
        BUILT_IN.clone()
    }

    /// The names of the files that a folder of somebody's own may have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TEMPLATES.iter().map(|(name, _)| *name).chain([TEXT_FILE])
    }

    /// With somebody's own files, each a name and its text. A template that does not parse, or cannot be rendered for a
    /// night of every kind, is left out and told.
    /// `unread` names files that could not be read, and why.
    pub fn with(files: &[(String, String)], unread: &[(String, String)]) -> Stationery {
        let unread =
            unread.iter().map(|(file, what)| StationeryFault { file: file.clone(), line: None, what: what.clone() });
        let mut faults: Vec<StationeryFault> = unread.collect();
        let mut words = Words::built_in();
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for (name, source) in files {
            if name == TEXT_FILE {
                let (replaced, found) = words.replaced_by(source);
                words = replaced;
                faults.extend(found);
            } else if TEMPLATES.iter().any(|(known, _)| known == name) {
                own.insert(name.clone(), source.clone());
            } else if name.ends_with(".html") || name.ends_with(".txt") {
                let known: Vec<&str> = Self::names().collect();
                let what = format!("there is no such template; there are {}", known.join(", "));
                faults.push(StationeryFault { file: name.clone(), line: None, what });
            }
        }
        own.retain(|name, source| match Environment::empty().template_from_named_str(name, source) {
            Ok(_) => true,
            Err(error) => {
                faults.push(fault_of(name, &error));
                false
            }
        });
        loop {
            let environment = Arc::new(environment(&words, &own));
            let stationery =
                Stationery { environment, own: !own.is_empty(), words: words.clone(), faults: Arc::default() };
            let Some(fault) = super::specimen::fault_in(&stationery).filter(|_| !own.is_empty()) else {
                return Stationery { faults: Arc::new(faults), ..stationery };
            };
            // The fault may stand in a template that another one includes; if none is to blame, all are left out.
            if own.remove(&fault.file).is_none() {
                own.clear();
            }
            faults.push(fault);
        }
    }

    /// The words.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// What of somebody's own could not be used.
    pub fn faults(&self) -> &[StationeryFault] {
        &self.faults
    }

    /// The built-in templates, which say why they stand in.
    pub(super) fn built_in_instead(&self, error: &minijinja::Error) -> Stationery {
        let mut faults = (*self.faults).clone();
        faults.push(fault_of("layout.html", error));
        let environment = Arc::new(environment(&self.words, &BTreeMap::new()));
        Stationery { environment, own: false, words: self.words.clone(), faults: Arc::new(faults) }
    }

    /// Renders a template.
    ///
    /// # Errors
    /// The template fails; the built-in ones are tested with something of everything.
    pub fn render(&self, template: &str, context: &impl Serialize) -> Result<String, minijinja::Error> {
        self.environment.get_template(template)?.render(Serde(context))
    }
}

pub(super) fn fault_of(name: &str, error: &minijinja::Error) -> StationeryFault {
    let place = error.name().filter(|place| TEMPLATES.iter().any(|(known, _)| known == place));
    let mut what = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        what.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    StationeryFault { file: place.unwrap_or(name).to_owned(), line: error.line(), what }
}

fn environment(words: &Words, own: &BTreeMap<String, String>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the syntax is the default one"));
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    for (name, source) in TEMPLATES {
        let source = own.get(name).map_or_else(|| source.to_owned(), Clone::clone);
        // Somebody's own were tried before, the others are tested to parse; one that does not is not there.
        if let Err(error) = environment.add_template_owned(name, source) {
            tracing::error!("template {name} does not parse: {error:#}");
        }
    }
    let catalogue = words.clone();
    environment.add_function("t", move |key: String, kwargs: Kwargs| -> Result<String, minijinja::Error> {
        if !catalogue.has(&key) {
            let detail = format!("there is no text {key:?} in {TEXT_FILE}");
            return Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, detail));
        }
        let names: Vec<String> = kwargs.args().map(str::to_owned).collect();
        let values: Vec<(String, Value)> =
            names.into_iter().filter_map(|name| kwargs.get(&name).ok().map(|value| (name, value))).collect();
        let n = values.iter().find(|(name, _)| name == "n").and_then(|(_, value)| value.as_i64());
        let filled: Vec<(&str, &dyn fmt::Display)> =
            values.iter().map(|(name, value)| (name.as_str(), value as &dyn fmt::Display)).collect();
        Ok(catalogue.render(&key, n.and_then(|n| u64::try_from(n).ok()), &filled))
    });
    environment
}
