//! Custom facts: SQL files that metrics name, read and looked through before any engine sees them.
//!
//! What is looked for here is what a text could do to the statement that it will stand in as a subquery: end it, or begin
//! another. Whether it is sound SQL, and gives the right columns, only the engine knows; `check` asks it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::fault::Fault;
use crate::domain::Fact;

/// Where facts lie unless told, beside the main file.
pub(super) const FOLDER: &str = "queries/facts";

/// The facts that the metrics name.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Those that could be read, by name.
    pub(super) found: BTreeMap<String, Fact>,
    /// Their files, by name.
    pub(super) paths: BTreeMap<String, PathBuf>,
    /// What is wrong with the others.
    pub(super) faults: Vec<Fault>,
}

/// How an engine reads a text, as far as it matters where quotes and comments end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Sqlite,
    Mysql,
    Clickhouse,
    /// None that runs SQL, or none that is known.
    #[default]
    Other,
}

impl Engine {
    /// The engine that the main file's `warehouse` names.
    pub(super) fn of(main: &Document) -> Self {
        let engines = [
            ("postgres", Engine::Postgres),
            ("sqlite", Engine::Sqlite),
            ("mysql", Engine::Mysql),
            ("clickhouse", Engine::Clickhouse),
        ];
        let named = engines.into_iter().find(|(key, _)| main.get(&format!("/warehouse/{key}")).is_some());
        named.map_or(Engine::Other, |(_, engine)| engine)
    }

    fn escapes_by_backslash(self) -> bool {
        matches!(self, Engine::Mysql | Engine::Clickhouse)
    }
}

/// Reads the facts that `named` names, each with the pointer to where it is named in the metrics file.
pub(super) fn read(main: &Document, base: &Path, document: &Document, named: &[(String, &str)]) -> Facts {
    let folder = base.join(main.get("/facts").and_then(|folder| folder.as_str()).unwrap_or(FOLDER));
    let engine = Engine::of(main);
    let mut facts = Facts::default();
    for (pointer, name) in named {
        if facts.paths.contains_key(*name) {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            let message = format!("{name:?} is no fact's name; it has 1 to 100 letters, digits, `_` and `-`");
            facts.faults.push(document.fault(pointer, message));
            continue;
        }
        let path = folder.join(format!("{name}.sql"));
        facts.paths.insert((*name).to_owned(), path.clone());
        match std::fs::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) => {
                let found = faults(&text, engine);
                facts
                    .faults
                    .extend(found.into_iter().map(|(at, message)| Fault::new(&path, place(&text, at), "", &message)));
                let sql = text.trim_end().to_owned();
                facts.found.insert((*name).to_owned(), Fact { name: (*name).to_owned(), sql });
            }
            Ok(Err(_)) => facts.faults.push(Fault::new(&path, (1, 1), "", "this is no UTF-8; save the file as UTF-8")),
            Err(error) => {
                let message = format!("could not read the file {} of this fact: {error}", path.display());
                facts.faults.push(document.fault(pointer, message));
            }
        }
    }
    facts
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = 1 + before.matches('\n').count();
    (line, 1 + before.chars().rev().take_while(|c| *c != '\n').count())
}

/// What keeps a text from being one SELECT in the place of a subquery, each with the byte where it stands.
fn faults(text: &str, engine: Engine) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    let mut begun = false;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let from = at;
        at += match skipped(rest, engine) {
            Skip::To(length) => {
                // A string or a name in quotes is no beginning of a SELECT.
                if !begun && rest.starts_with(['\'', '"', '`', '$']) {
                    faults.push((from, BEGIN.to_owned()));
                    begun = true;
                }
                length
            }
            Skip::Open(what) => {
                faults.push((from, format!("this {what} has no end")));
                break;
            }
            Skip::Nothing if c.is_whitespace() => c.len_utf8(),
            Skip::Nothing if c.is_control() => {
                faults.push((from, "there is a control character here; take it out".to_owned()));
                c.len_utf8()
            }
            Skip::Nothing => {
                let word: &str = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
                if !begun {
                    begun = true;
                    if !word.eq_ignore_ascii_case("select") && !word.eq_ignore_ascii_case("with") {
                        faults.push((from, BEGIN.to_owned()));
                    }
                }
                match c {
                    '(' => open.push(from),
                    ')' if open.pop().is_none() => {
                        faults.push((from, "this `)` closes nothing that was opened; take it out".to_owned()));
                    }
                    ';' => {
                        let last = rest[1..].trim().is_empty();
                        faults.push((from, (if last { LAST_SEMICOLON } else { SEMICOLON }).to_owned()));
                        if !last {
                            break;
                        }
                    }
                    _ => faults.extend(parameter(text, from, engine).map(|found| (from, found))),
                }
                word.len().max(c.len_utf8())
            }
        };
    }
    faults.extend(open.into_iter().map(|from| (from, "this `(` is never closed".to_owned())));
    if !begun && faults.is_empty() {
        faults.push((0, "there is no SELECT in this file".to_owned()));
    }
    faults
}

const BEGIN: &str = "a fact is one SELECT: the text begins with SELECT or WITH";
const LAST_SEMICOLON: &str = "leave the semicolon out: the text becomes a part of a larger statement";
const SEMICOLON: &str = "a fact is one SELECT, and a semicolon would end it; take out what is not part of it";

/// What is no part of the statement's structure at the beginning of a text.
enum Skip {
    Nothing,
    /// So many bytes.
    To(usize),
    /// Something that never ends.
    Open(&'static str),
}

fn skipped(rest: &str, engine: Engine) -> Skip {
    let through = |end: Option<usize>, what| end.map_or(Skip::Open(what), Skip::To);
    let line = || Skip::To(rest.find('\n').unwrap_or(rest.len()));
    if rest.starts_with("--") || (rest.starts_with('#') && engine == Engine::Mysql) {
        return line();
    }
    if let Some(inside) = rest.strip_prefix("/*") {
        return through(inside.find("*/").map(|end| end + 4), "comment");
    }
    let mut chars = rest.chars();
    match chars.next() {
        Some(quote @ ('\'' | '"' | '`')) => {
            let escapes = engine.escapes_by_backslash();
            through(end_of_quoted(rest, quote, escapes), "text in quotes")
        }
        // PostgreSQL's own: E'…' with backslashes, and $tag$…$tag$.
        Some('e' | 'E') if engine == Engine::Postgres && rest[1..].starts_with('\'') => {
            through(end_of_quoted(&rest[1..], '\'', true).map(|end| end + 1), "text in quotes")
        }
        Some('$') if engine == Engine::Postgres => match dollar_tag(rest) {
            Some(tag) => through(rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len()), "text in dollars"),
            None => Skip::Nothing,
        },
        _ => Skip::Nothing,
    }
}

/// The bytes of a text in quotes, the quotes among them. A doubled quote ends it and begins it anew, which is as good.
fn end_of_quoted(rest: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some(at + 1);
        }
        if c == '\\' && escapes {
            chars.next();
        }
    }
    None
}

/// `$$` or `$tag$`; `$1` is no such thing.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 1;
    let tag = &rest[1..end];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &rest[..=end])
}

/// What would be taken for the place of one of our values.
fn parameter(text: &str, at: usize, engine: Engine) -> Option<String> {
    let rest = &text[at..];
    let mut chars = rest.chars();
    let (first, second) = (chars.next()?, chars.next());
    let named = second.is_some_and(|c| c.is_alphanumeric() || c == '_');
    // `a::text`, and `$` within a name.
    let before = text[..at].chars().next_back();
    let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let is_parameter = match (engine, first) {
        (Engine::Postgres | Engine::Sqlite, '$') => named && !inside,
        (Engine::Sqlite, ':' | '@') => named && !inside,
        (Engine::Sqlite | Engine::Mysql, '?') => true,
        _ => false,
    };
    is_parameter
        .then(|| format!("`{first}` stands for a value of the statement here, and a fact has none; write the value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, engine: Engine) -> Vec<String> {
        let told = |(at, message): (usize, String)| {
            let (line, column) = place(text, at);
            format!("{line}:{column} {message}")
        };
        faults(text, engine).into_iter().map(told).collect()
    }

    #[test]
    fn one_select_is_enough_however_it_is_written() {
        for engine in [Engine::Postgres, Engine::Sqlite, Engine::Mysql, Engine::Clickhouse, Engine::Other] {
            for text in [
                "SELECT 1",
                "-- of a shop; all of it\n\tselect ';)' AS a, \"b;\" /* ; ) */ FROM (SELECT 2) AS x -- the end )",
                "WITH x AS (SELECT 1) SELECT * FROM x",
                "SELECT 'o''brien' AS unit_id FROM `t;`",
                "SELECT '用户;' AS unit_id",
            ] {
                assert_eq!(told(text, engine), [""; 0], "{engine:?}: {text}");
            }
        }
        assert_eq!(told(r"SELECT E'\';' || $x$;)$x$ || $$;$$ || a::text || b[1:2] ? 'k'", Engine::Postgres), [""; 0]);
        assert_eq!(told(r"SELECT '\';)' AS a # ; )", Engine::Mysql), [""; 0]);
    }

    #[test]
    fn what_would_end_the_subquery_is_found_with_its_place() {
        let one = |text, engine, at: &str, words: &str| {
            let told = told(text, engine);
            assert!(told.len() == 1 && told[0].starts_with(at) && told[0].contains(words), "{text}: {told:?}");
        };
        one("SELECT 1;\n", Engine::Postgres, "1:9 ", "leave the semicolon out");
        one("SELECT 1;\nDROP TABLE orders", Engine::Postgres, "1:9 ", "a semicolon would end it");
        let both = told("SELECT 1) AS f; DELETE FROM x --", Engine::Other);
        assert!(both.len() == 2 && both[0].contains("closes nothing") && both[1].starts_with("1:15 "), "{both:?}");
        one("SELECT (1", Engine::Sqlite, "1:8 ", "never closed");
        one("\n  DELETE FROM orders", Engine::Mysql, "2:3 ", "begins with SELECT or WITH");
        one("'a'", Engine::Mysql, "1:1 ", "begins with SELECT or WITH");
        one("-- nothing\n", Engine::Mysql, "1:1 ", "there is no SELECT");
        one("SELECT 'a", Engine::Sqlite, "1:8 ", "has no end");
        one("SELECT 1 /* a", Engine::Sqlite, "1:10 ", "comment has no end");
        one("SELECT $1", Engine::Postgres, "1:8 ", "stands for a value");
        one("SELECT ?", Engine::Mysql, "1:8 ", "stands for a value");
        one("SELECT :day", Engine::Sqlite, "1:8 ", "stands for a value");
        one("SELECT 1 \u{2}", Engine::Postgres, "1:10 ", "control character");
    }
}
