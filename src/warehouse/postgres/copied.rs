//! Rows as `COPY … (FORMAT binary)` sends them.
//!
//! The format: PostgreSQL documentation, "COPY", section "Binary Format".

/// What came and is not read yet.
#[derive(Default)]
pub(super) struct Copied {
    /// The beginning of a row whose end is still to come.
    rest: Vec<u8>,
    /// Whether the header was read.
    begun: bool,
}

/// The fields of a row.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

impl Copied {
    /// Reads the rows that are whole.
    pub(super) fn take(
        &mut self,
        bytes: impl AsRef<[u8]>,
        mut read: impl FnMut(Fields<'_>) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let bytes = bytes.as_ref();
        // Servers send one row at a time, so there is hardly ever a rest.
        let mut joined = Vec::new();
        let mut left = if self.rest.is_empty() {
            bytes
        } else {
            joined.append(&mut self.rest);
            joined.extend_from_slice(bytes);
            &joined
        };
        if !self.begun {
            let Some(length) = header(left)? else {
                self.rest = left.to_vec();
                return Ok(());
            };
            left = &left[length..];
            self.begun = true;
        }
        while let Some((row, after)) = split_row(left)? {
            if let Some(row) = row {
                read(Fields { bytes: row })?;
            }
            left = after;
        }
        self.rest = left.to_vec();
        Ok(())
    }
}

/// The length of the header, once it is whole.
fn header(bytes: &[u8]) -> Result<Option<usize>, sqlx::Error> {
    let fixed = SIGNATURE.len() + 8;
    if bytes.len() < fixed {
        return Ok(None);
    }
    if !bytes.starts_with(SIGNATURE) {
        return Err(unexpected("the header"));
    }
    let extension = usize::try_from(integer(&bytes[fixed - 4..])).map_err(|_| unexpected("the header's length"))?;
    Ok((bytes.len() >= fixed + extension).then_some(fixed + extension))
}

/// A row without its number of fields, and what follows it; no row for the end of the data. `None` if it is not whole.
type Split<'a> = Option<(Option<&'a [u8]>, &'a [u8])>;

fn split_row(bytes: &[u8]) -> Result<Split<'_>, sqlx::Error> {
    let Some((count, fields)) = bytes.split_at_checked(2) else { return Ok(None) };
    let count = i16::from_be_bytes([count[0], count[1]]);
    if count == -1 {
        return Ok(Some((None, fields)));
    }
    let mut at = 0usize;
    for _ in 0..count {
        let Some(length) = fields.get(at..at + 4).map(integer) else { return Ok(None) };
        at += 4;
        match usize::try_from(length) {
            Ok(length) => at += length,
            Err(_) if length == -1 => {}
            Err(_) => return Err(unexpected("the length of a field")),
        }
    }
    Ok(fields.split_at_checked(at).map(|(row, after)| (Some(row), after)))
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, sqlx::Error> {
        let (length, rest) = self.bytes.split_at_checked(4).ok_or_else(|| unexpected("the number of fields"))?;
        let Ok(length) = usize::try_from(integer(length)) else {
            self.bytes = rest;
            return Ok(None);
        };
        let (field, rest) = rest.split_at_checked(length).ok_or_else(|| unexpected("the length of a field"))?;
        self.bytes = rest;
        Ok(Some(field))
    }

    /// A text.
    pub(super) fn next_text(&mut self) -> Result<Option<&'a str>, sqlx::Error> {
        let field = self.next()?;
        field.map(|field| std::str::from_utf8(field).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
    }

    /// A `bigint` or an instant.
    pub(super) fn next_integer(&mut self) -> Result<i64, sqlx::Error> {
        let field = self.next()?.and_then(|field| field.try_into().ok());
        field.map(i64::from_be_bytes).ok_or_else(|| unexpected("an integer"))
    }

    /// A `smallint` that is not negative.
    pub(super) fn next_small(&mut self) -> Result<u16, sqlx::Error> {
        let field = self.next()?.and_then(|field| field.try_into().ok());
        field.map(u16::from_be_bytes).ok_or_else(|| unexpected("a small integer"))
    }

    /// A `uuid`.
    pub(super) fn next_key(&mut self) -> Result<u128, sqlx::Error> {
        let field = self.next()?.and_then(|field| field.try_into().ok());
        field.map(u128::from_be_bytes).ok_or_else(|| unexpected("a key"))
    }
}

fn integer(bytes: &[u8]) -> i32 {
    bytes.get(..4).and_then(|four| four.try_into().ok()).map_or(0, i32::from_be_bytes)
}

fn unexpected(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the server's copy has {what} that is not as expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows of a text, a small integer and an instant; the second text is null.
    fn sent() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for (text, small, large) in [(Some("ann"), 3u16, 70_000i64), (None, 0, -1)] {
            bytes.extend(3i16.to_be_bytes());
            match text {
                Some(text) => {
                    bytes.extend((text.len() as i32).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
                None => bytes.extend((-1i32).to_be_bytes()),
            }
            bytes.extend(2i32.to_be_bytes());
            bytes.extend(small.to_be_bytes());
            bytes.extend(8i32.to_be_bytes());
            bytes.extend(large.to_be_bytes());
        }
        bytes.extend((-1i16).to_be_bytes());
        bytes
    }

    fn rows_of(parts: &[&[u8]]) -> Result<Vec<(Option<String>, u16, i64)>, sqlx::Error> {
        let (mut copied, mut rows) = (Copied::default(), Vec::new());
        for part in parts {
            copied.take(part, |mut row| {
                rows.push((row.next_text()?.map(str::to_owned), row.next_small()?, row.next_integer()?));
                Ok(())
            })?;
        }
        Ok(rows)
    }

    #[test]
    fn rows_are_the_same_however_the_bytes_are_cut() {
        let sent = sent();
        let expected = [(Some("ann".to_owned()), 3, 70_000), (None, 0, -1)];
        for cut in 0..sent.len() {
            assert_eq!(rows_of(&[&sent[..cut], &sent[cut..]]).unwrap(), expected, "{cut}");
        }
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(rows_of(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        assert!(rows_of(&[b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0"]).is_err());
        let mut short = sent();
        short[19 + 2 + 3] = 200;
        assert_eq!(rows_of(&[&short]).unwrap(), []);
    }
}
