//! File names from names that anybody may have chosen.
//!
//! A plain name (small letters, digits, `-` and `_`, 60 at most) stays what it is, so addresses can be read and typed. Any
//! other is reduced to that alphabet and gets a part of a digest behind a dot, which no plain name has. So a path never
//! leaves its folder, two names never share a file, not even where case is ignored, and a page keeps its address.

use sha2::{Digest, Sha256};

/// Longer names are cut.
const LONGEST: usize = 60;

/// Names that some file systems keep for devices.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The file name, without its ending, of what bears that name. `key` tells it from others that reduce to the same.
pub fn file_name(name: &str, key: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut plain = String::new();
    for letter in name.chars().take(4 * LONGEST) {
        let letter = letter.to_ascii_lowercase();
        let letter = if letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_' { letter } else { '-' };
        // Runs of what was left out are one stroke.
        if letter != '-' || !(plain.is_empty() || plain.ends_with('-')) {
            plain.push(letter);
        }
    }
    plain.truncate(LONGEST);
    let plain = plain.trim_matches(['-', '_']);
    let digest = format!("{:x}", Sha256::digest(format!("{name}\n{key}")));
    format!("{}.{}", if plain.is_empty() { "x" } else { plain }, &digest[..10])
}

fn is_plain(name: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '_');
    let device = DEVICES.contains(&name) || (name.len() == 4 && ["com", "lpt"].iter().any(|d| name.starts_with(d)));
    (1..=LONGEST).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.chars().all(letters)
        && !device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_and_every_other_is_told_apart() {
        assert_eq!(file_name("leftovers_exp", "7"), "leftovers_exp");
        let hostile = ["../../etc/passwd", "..", ".", "", "/", "a/b", "a\\b", "<script>", "Planner", "planner ", "con"];
        let more = ["a\r\nb", "\u{202e}abc", "日本", "-rf", "_x", "lpt1", "a.b", "%2e%2e", "PLANNER", "a\0b"];
        let long = "x".repeat(5_000);
        let names: Vec<&str> = hostile.into_iter().chain(more).chain([long.as_str(), "planner"]).collect();
        let files: Vec<String> = names.iter().map(|name| file_name(name, "k").to_lowercase()).collect();
        let mut apart = files.clone();
        apart.sort();
        apart.dedup();
        assert_eq!(apart.len(), names.len(), "{files:?}");
        for file in &files {
            assert!(file.len() <= 71 && !file.starts_with(['.', '-']) && !file.contains(".."), "{file}");
            assert!(file.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{file}");
        }
        assert_ne!(file_name("A", "1"), file_name("A", "2"));
    }
}
