//! What a day's files hold, told by their footers alone: these have the sizes and statistics of every column.

use sha2::{Digest, Sha256};

use super::files::{DataFile, Day};

/// The sum of a hash of each footer, so the same on whatever shelf the files lie. A file that was written anew with the same
/// events may have another: then the cohorts that it touches are read again, and found to be what they were.
pub(super) fn content(day: &Day) -> i64 {
    let of_file = |file: &DataFile| hash(&file.footer.footer_buf);
    day.files.iter().fold(0i64, |sum, file| sum.wrapping_add(of_file(file)))
}

fn hash(bytes: &[u8]) -> i64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0i64, |sum, byte| (sum << 8) | i64::from(*byte))
}
