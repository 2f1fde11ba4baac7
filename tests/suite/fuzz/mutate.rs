//! Changes to a text that keep most of its structure: words replaced, lines moved, bytes broken, and nodes of the parsed
//! document replaced. Places are counted around, so every change fits every text.

use proptest::prelude::{Strategy, any, prop_oneof};
use serde_json::Value;

use super::tricky::{BYTES, WORDS, nodes};

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// A word becomes one of [`WORDS`].
    Word { nth: usize, word: usize },
    /// What follows the colon of a line becomes one of [`WORDS`].
    Value { line: usize, word: usize },
    /// A word is nested in lists.
    Nest { nth: usize, depth: usize },
    /// A line goes.
    Drop { line: usize },
    /// A line comes again, elsewhere.
    Repeat { line: usize, to: usize },
    /// A line is indented otherwise.
    Indent { line: usize, by: usize },
    /// Bytes of [`BYTES`] come between.
    Insert { at: usize, what: usize },
    /// A byte becomes another.
    Byte { at: usize, byte: u8 },
    /// The text ends early.
    Cut { at: usize },
    /// Lines end as on another system.
    LineEnds { kind: usize },
    /// A node of the document becomes one of [`nodes`], and the document is written anew.
    Node { nth: usize, node: usize },
    /// A key of the document is renamed, or goes.
    Key { nth: usize, name: Option<usize> },
}

/// Any change.
pub fn changes() -> impl Strategy<Value = Change> {
    let n = || any::<u16>().prop_map(usize::from);
    prop_oneof![
        4 => (n(), n()).prop_map(|(nth, word)| Change::Word { nth, word }),
        4 => (n(), n()).prop_map(|(line, word)| Change::Value { line, word }),
        1 => (n(), 1..400usize).prop_map(|(nth, depth)| Change::Nest { nth, depth }),
        1 => n().prop_map(|line| Change::Drop { line }),
        2 => (n(), n()).prop_map(|(line, to)| Change::Repeat { line, to }),
        1 => (n(), 0..9usize).prop_map(|(line, by)| Change::Indent { line, by }),
        2 => (n(), n()).prop_map(|(at, what)| Change::Insert { at, what }),
        1 => (n(), any::<u8>()).prop_map(|(at, byte)| Change::Byte { at, byte }),
        1 => n().prop_map(|at| Change::Cut { at }),
        1 => (0..3usize).prop_map(|kind| Change::LineEnds { kind }),
        4 => (n(), n()).prop_map(|(nth, node)| Change::Node { nth, node }),
        2 => (n(), proptest::option::of(n())).prop_map(|(nth, name)| Change::Key { nth, name }),
    ]
}

/// Changes a text.
pub fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Word { nth, word } => replace_word(bytes, *nth, WORDS[word % WORDS.len()]),
        Change::Value { line, word } => lines(bytes, *line, |lines, at| {
            let line = &mut lines[at];
            if let Some(colon) = line.find(": ") {
                line.truncate(colon + 2);
                line.push_str(WORDS[word % WORDS.len()]);
            }
        }),
        Change::Nest { nth, depth } => {
            replace_word(bytes, *nth, &("[".repeat(*depth) + "x" + &"]".repeat(*depth)));
        }
        Change::Drop { line } => lines(bytes, *line, |lines, at| drop(lines.remove(at))),
        Change::Repeat { line, to } => lines(bytes, *line, |lines, at| {
            let again = lines[at].clone();
            let to = to % (lines.len() + 1);
            lines.insert(to, again);
        }),
        Change::Indent { line, by } => lines(bytes, *line, |lines, at| {
            lines[at] = " ".repeat(*by) + lines[at].trim_start();
        }),
        Change::Insert { at, what } => {
            let at = at % (bytes.len() + 1);
            bytes.splice(at..at, BYTES[what % BYTES.len()].iter().copied());
        }
        Change::Byte { at, byte } if !bytes.is_empty() => {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        Change::Byte { .. } => {}
        Change::Cut { at } => bytes.truncate(at % (bytes.len() + 1)),
        Change::LineEnds { kind } => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                *bytes = text.replace('\n', ["\r\n", "\r", "\n\n"][*kind]).into_bytes();
            }
        }
        Change::Node { nth, node } => document(bytes, |document| {
            let (nodes, count) = (nodes(), count(document));
            visit(document, &mut (nth % count), &mut |value| *value = nodes[node % nodes.len()].clone());
        }),
        Change::Key { nth, name } => document(bytes, |document| {
            let count = count(document);
            visit(document, &mut (nth % count), &mut |value| {
                let Value::Object(map) = value else { return };
                let Some(key) = map.keys().nth(nth % map.len().max(1)).cloned() else { return };
                let inner = map.remove(&key).unwrap_or_default();
                if let Some(name) = name {
                    map.insert(WORDS[name % WORDS.len()].to_owned(), inner);
                }
            });
        }),
    }
}

/// Replaces the nth word outside of comments.
fn replace_word(bytes: &mut Vec<u8>, nth: usize, with: &str) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/');
    let mut words = Vec::new();
    let (mut at, mut comment) = (0, false);
    while at < bytes.len() {
        comment = (comment || bytes[at] == b'#') && bytes[at] != b'\n';
        let length = bytes[at..].iter().take_while(|byte| is_word(byte)).count();
        if length > 0 && !comment {
            words.push(at..at + length);
        }
        at += length.max(1);
    }
    if let Some(range) = words.get(nth % words.len().max(1)) {
        bytes.splice(range.clone(), with.bytes());
    }
}

/// Changes a text as lines.
fn lines(bytes: &mut Vec<u8>, nth: usize, change: impl FnOnce(&mut Vec<String>, usize)) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if !lines.is_empty() {
        let at = nth % lines.len();
        change(&mut lines, at);
        *bytes = (lines.join("\n") + "\n").into_bytes();
    }
}

/// Changes a text as the document that it is; JSON is YAML, too.
fn document(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Value)) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(mut document) = serde_saphyr::from_str::<Value>(text) {
        change(&mut document);
        *bytes = document.to_string().into_bytes();
    }
}

/// The nodes of a document, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0usize,
    }
}

/// Comes to the nth node, the root first.
fn visit(value: &mut Value, left: &mut usize, change: &mut dyn FnMut(&mut Value)) {
    if *left == 0 {
        *left = usize::MAX;
        return change(value);
    }
    *left -= 1;
    let next: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(map) => Box::new(map.values_mut()),
        _ => return,
    };
    for inner in next {
        if *left == usize::MAX {
            return;
        }
        visit(inner, left, change);
    }
}
