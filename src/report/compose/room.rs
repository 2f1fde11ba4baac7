//! How much of a mail is left before mail programs cut it.

/// Gmail cuts a mail's HTML at about 102 kB as it is sent; these are the bytes as written, and as sent.
const MOST_BYTES: usize = 80_000;
const MOST_BYTES_SENT: usize = 96_000;
/// What the sentences about what was cut may take.
const FOR_THE_CUT: usize = 1_500;

/// The bytes that are left, as written and as sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    written: usize,
    sent: usize,
}

impl Room {
    pub(super) const ENDLESS: Room = Room { written: usize::MAX, sent: usize::MAX };

    pub(super) fn for_mail(frame: &str) -> Room {
        Room {
            written: MOST_BYTES.saturating_sub(frame.len() + FOR_THE_CUT),
            sent: MOST_BYTES_SENT.saturating_sub(sent(frame) + FOR_THE_CUT),
        }
    }

    pub(super) fn needed_by(texts: &[String]) -> Room {
        Room { written: texts.iter().map(String::len).sum(), sent: texts.iter().map(|text| sent(text)).sum() }
    }

    pub(super) fn at_most(self, other: Room) -> Room {
        Room { written: self.written.min(other.written), sent: self.sent.min(other.sent) }
    }

    pub(super) fn part(self, of: usize) -> Room {
        Room { written: self.written / of, sent: self.sent / of }
    }

    pub(super) fn without(self, other: Room) -> Room {
        Room { written: self.written.saturating_sub(other.written), sent: self.sent.saturating_sub(other.sent) }
    }

    /// Whether a text has room; then there is less.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let (written, sent) = (text.len(), sent(text));
        if written > self.written || sent > self.sent {
            return false;
        }
        self.written -= written;
        self.sent -= sent;
        true
    }
}

/// How many bytes quoted-printable makes of a text.
fn sent(text: &str) -> usize {
    let bytes: usize = text.bytes().map(|b| if b == b'=' || !b.is_ascii() { 3 } else { 1 }).sum();
    bytes + 3 * (bytes / 73)
}
