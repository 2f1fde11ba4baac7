//! What a day's files hold, told by their footers alone: these have the sizes and statistics of every column.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::files::{DataFile, Day, broken};
use crate::warehouse::error::WarehouseError;

/// Behind a footer stand its length and four letters.
const TAIL: u64 = 8;

/// The sum of a hash of each footer. A file that was written anew with the same events may have another: then the cohorts
/// that it touches are read again, and found to be what they were.
pub(super) fn content(day: &Day) -> Result<i64, WarehouseError> {
    let of_file = |file: &DataFile| {
        footer(file)
            .map(|bytes| hash(&bytes))
            .map_err(|error| broken(&file.path, day.date, "its footer cannot be read", Some(error.into())))
    };
    day.files.iter().try_fold(0i64, |sum, file| Ok(sum.wrapping_add(of_file(file)?)))
}

fn footer(file: &DataFile) -> std::io::Result<Vec<u8>> {
    let mut open = File::open(&file.path)?;
    let end = open.seek(SeekFrom::End(0))?;
    let mut tail = [0; TAIL as usize];
    open.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
    open.read_exact(&mut tail)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    open.seek(SeekFrom::Start(end.saturating_sub(TAIL + length)))?;
    let mut footer = Vec::new();
    open.read_to_end(&mut footer)?;
    Ok(footer)
}

fn hash(bytes: &[u8]) -> i64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0i64, |sum, byte| (sum << 8) | i64::from(*byte))
}
