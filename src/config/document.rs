//! A YAML file that remembers where each of its values stands, checked against the schema of a type.
//!
//! All faults of a file are collected, never only the first: the text is parsed into JSON with a line and column per
//! value, the JSON Schema of the target type finds every misplaced, missing or misspelt key, and only a clean document
//! is turned into the type. The checks of meaning that follow add their faults through [`Document::fault`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser};

use super::fault::Fault;
use super::secret::SecretRef;

/// A parsed file with the place of every value.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    value: Value,
    places: BTreeMap<String, Place>,
}

/// Where a value, and the key before it, begins.
#[derive(Clone, Copy, Debug)]
struct Place {
    line: usize,
    column: usize,
}

impl Document {
    /// Parses the text of a file. A syntax error or a duplicate key ends the reading, so it is a single fault.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Fault> {
        let value = serde_saphyr::from_str::<Value>(text).map_err(|error| syntax_fault(path, &error))?;
        let value = if value.is_null() { Value::Object(Default::default()) } else { value };
        Ok(Self { path: path.to_owned(), value, places: places(text) })
    }

    /// The document as `T`, or every fault that keeps it from being one.
    pub fn decode<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Vec<Fault>> {
        let schema = schemars::schema_for!(T).to_value();
        let mut faults = Vec::new();
        match jsonschema::options().should_validate_formats(true).build(&schema) {
            Ok(validator) => {
                for error in validator.iter_errors(&self.value) {
                    self.explain(&schema, &error, &mut faults);
                }
            }
            Err(error) => faults.push(self.fault("", format!("the schema of this file is not usable: {error}"))),
        }
        if !faults.is_empty() {
            faults.sort_by_key(|f| (f.line, f.column));
            faults.dedup();
            return Err(faults);
        }
        serde_json::from_value(self.value.clone()).map_err(|error| vec![self.fault("", error.to_string())])
    }

    /// A fault at the value that a JSON pointer names, or at its nearest ancestor that stands in the file.
    pub fn fault(&self, pointer: &str, message: impl Into<String>) -> Fault {
        let place = self.nearest(pointer);
        let key = pointer.trim_start_matches('/').replace('/', ".");
        Fault::new(&self.path, (place.line, place.column), &key, &message.into())
    }

    /// `FILE:LINE` of the value that the keys lead to, or of its nearest ancestor that stands in the file.
    pub fn place(&self, keys: &[&str]) -> String {
        let pointer: String =
            keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect();
        format!("{}:{}", self.path.display(), self.nearest(&pointer).line)
    }

    /// Line and column of the value at a JSON pointer, from 1.
    pub fn spot(&self, pointer: &str) -> Option<(usize, usize)> {
        self.places.get(pointer).map(|place| (place.line, place.column))
    }

    fn nearest(&self, pointer: &str) -> Place {
        let mut at = pointer;
        loop {
            if let Some(place) = self.places.get(at) {
                return *place;
            }
            match at.rfind('/') {
                Some(cut) => at = &at[..cut],
                None => return Place { line: 1, column: 1 },
            }
        }
    }

    /// The value at a JSON pointer.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    fn explain(&self, schema: &Value, error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
        let at = error.instance_path().as_str();
        if let Some(at) = secret_of(error) {
            let name = at.rsplit('/').next().unwrap_or_default();
            let message =
                format!("a secret never stands in the file; write `{name}: {{ env: NAME }}` or `{{ file: PATH }}`");
            faults.push(self.fault(at, message));
            return;
        }
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = known_keys(schema, error.schema_path().as_str());
                for key in unexpected {
                    faults.push(self.fault(&format!("{at}/{key}"), unknown_key(key, &known)));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                faults.push(self.fault(at, format!("key `{name}` is missing here")));
            }
            // An optional value is "this, or nothing": what was written is meant to be "this".
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                let meant = context.iter().max_by_key(|branch| {
                    let depth = branch.iter().map(|e| e.instance_path().as_str().len()).max().unwrap_or(0);
                    let null = branch.iter().any(|e| is_of_nothing(e));
                    (!null, depth)
                });
                for inner in meant.into_iter().flatten() {
                    self.explain(schema, inner, faults);
                }
            }
            // The value is not repeated: what stands in the wrong place may be an address with a password.
            ValidationErrorKind::Type { kind } => {
                faults.push(self.fault(at, wrong_type(kind, error.instance())));
            }
            ValidationErrorKind::Format { format } => {
                let example = if format == "date" { "; write it as 2026-03-31" } else { "" };
                faults.push(self.fault(at, format!("{} is no {format}{example}", error.instance())));
            }
            _ => faults.push(self.fault(at, error.to_string())),
        }
    }
}

/// Where the secret stands that an error is about: what was written there, be it key or value, may be the secret itself.
fn secret_of<'a>(error: &'a ValidationError<'_>) -> Option<&'a str> {
    let definition = format!("/$defs/{}/", SecretRef::schema_name());
    let keyword = error.schema_path().as_str().strip_prefix(&definition)?;
    let at = error.instance_path().as_str();
    match keyword.starts_with("properties/") {
        true => at.rfind('/').map(|cut| &at[..cut]),
        false => Some(at),
    }
}

/// Whether an error only says that nothing should stand here.
fn is_of_nothing(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::Null) })
}

fn wrong_type(kind: &TypeKind, found: &Value) -> String {
    let wanted: Vec<JsonType> = match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(several) => several.iter().filter(|one| *one != JsonType::Null).collect(),
    };
    let wanted: Vec<&str> = wanted.into_iter().map(in_words).collect();
    let found = if found.is_i64() || found.is_u64() { JsonType::Integer } else { JsonType::from(found) };
    format!("this must be {}, but it is {}", wanted.join(" or "), in_words(found))
}

fn in_words(json: JsonType) -> &'static str {
    match json {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "empty",
        JsonType::Number => "a number",
        JsonType::Object => "a mapping of keys to values",
        JsonType::String => "text",
    }
}

fn syntax_fault(path: &Path, error: &serde_saphyr::Error) -> Fault {
    let location = error.location();
    let whole = error.to_string();
    let message = whole.lines().next().unwrap_or_default();
    let place = location.map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
    Fault::new(path, place, "", message.strip_prefix("error: ").unwrap_or(message))
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min();
    match near {
        Some((_, candidate)) => format!("unknown key `{key}`; did you mean `{candidate}`?"),
        None if known.is_empty() => format!("unknown key `{key}`"),
        None => format!("unknown key `{key}`; known here: {}", known.join(", ")),
    }
}

/// The keys that the schema object holding a failed `additionalProperties` knows.
fn known_keys(schema: &Value, keyword_path: &str) -> Vec<String> {
    let owner = keyword_path.trim_end_matches("/additionalProperties");
    let found = schema.pointer(owner).and_then(|object| object.get("properties"));
    match found {
        Some(Value::Object(properties)) => properties.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Walks the parser's events and notes where the value of each JSON pointer begins.
fn places(text: &str) -> BTreeMap<String, Place> {
    enum Level {
        Map { pointer: String, key: Option<String> },
        Sequence { pointer: String, next: usize },
    }
    let mut found = BTreeMap::new();
    let mut stack: Vec<Level> = Vec::new();
    for event in Parser::new_from_str(text) {
        // A broken file was refused before its places are asked for.
        let Ok((event, span)) = event else { break };
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        if matches!(event, Event::MappingEnd | Event::SequenceEnd) {
            stack.pop();
            continue;
        }
        let starts =
            matches!(event, Event::Scalar(..) | Event::Alias(..) | Event::MappingStart(..) | Event::SequenceStart(..));
        if !starts {
            continue;
        }
        let pointer = match stack.last_mut() {
            None => String::new(),
            Some(Level::Map { pointer, key }) => match key.take() {
                None => {
                    if let Event::Scalar(name, ..) = &event {
                        let name = name.replace('~', "~0").replace('/', "~1");
                        found.insert(format!("{pointer}/{name}"), place);
                        *key = Some(name);
                    }
                    continue;
                }
                Some(name) => format!("{pointer}/{name}"),
            },
            Some(Level::Sequence { pointer, next }) => {
                *next += 1;
                format!("{pointer}/{}", *next - 1)
            }
        };
        found.entry(pointer.clone()).or_insert(place);
        match event {
            Event::MappingStart(..) => stack.push(Level::Map { pointer, key: None }),
            Event::SequenceStart(..) => stack.push(Level::Sequence { pointer, next: 0 }),
            _ => {}
        }
    }
    found
}
