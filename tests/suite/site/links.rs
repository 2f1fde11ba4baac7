//! A site as a browser without a network sees it: every link and picture must lead somewhere inside of its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Every file of a site by its path from the root, without what is kept for the next run.
pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("below the root").to_str().expect("a plain name").to_owned();
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else if !name.starts_with('.') {
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

/// What is wrong with a site's pages.
pub fn faults(root: &Path) -> Vec<String> {
    let files = files(root);
    let mut faults = Vec::new();
    let mut reached: BTreeSet<String> = ["index.html".to_owned()].into();
    for (page, bytes) in files.iter().filter(|(name, _)| name.ends_with(".html")) {
        let html = std::str::from_utf8(bytes).expect("UTF-8");
        let mut complain = |what: String| faults.push(format!("{page}: {what}"));
        if !html.starts_with("<!DOCTYPE html>") || !html.trim_end().ends_with("</html>") {
            complain("it is not whole".to_owned());
        }
        for banned in ["<script", "javascript:", "http://", "https://", "@import", "<iframe", "<object", "<form"] {
            if html.to_lowercase().contains(banned) {
                complain(format!("it has {banned:?}"));
            }
        }
        if html
            .chars()
            .any(|letter| (letter.is_control() && letter != '\n') || ('\u{202A}'..='\u{202E}').contains(&letter))
        {
            complain("it has a control character".to_owned());
        }
        for attribute in ["href", "src"] {
            for link in attributes(html, attribute) {
                match target(page, &link) {
                    None => complain(format!("{link:?} leads out of the folder")),
                    Some((file, fragment)) => match files.get(&file) {
                        None => complain(format!("{link:?} leads nowhere")),
                        Some(bytes) => {
                            let id = format!("id=\"{fragment}\"");
                            if !fragment.is_empty() && !String::from_utf8_lossy(bytes).contains(&id) {
                                complain(format!("{link:?}: there is no {fragment}"));
                            }
                            reached.insert(file);
                        }
                    },
                }
            }
        }
        let images = html.matches("<img ").count();
        let told = attributes(html, "alt");
        if images != told.len() || told.iter().any(|alt| alt.len() < 20) {
            complain(format!("{images} pictures, and these words for them: {told:?}"));
        }
    }
    let unreached = files.keys().filter(|file| !reached.contains(*file));
    faults.extend(unreached.map(|file| format!("{file}: no page leads there")));
    faults
}

/// The values of an attribute, wherever it stands.
pub fn attributes(html: &str, name: &str) -> Vec<String> {
    let begin = format!(" {name}=\"");
    let values = html.split(&begin).skip(1).filter_map(|rest| rest.split('"').next());
    values.map(unescaped).collect()
}

fn unescaped(text: &str) -> String {
    [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter))
}

/// The file and the place in it that a link leads to, if it stays inside.
fn target(page: &str, link: &str) -> Option<(String, String)> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    if path.contains(':') || path.starts_with('/') || path.contains(['%', '?', '\\']) {
        return None;
    }
    let mut inside = PathBuf::from(page);
    if !path.is_empty() {
        inside.pop();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::ParentDir if inside.pop() => {}
                _ => return None,
            }
        }
    }
    Some((inside.to_str()?.to_owned(), fragment.to_owned()))
}
