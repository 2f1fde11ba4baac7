//! From the server's error codes to words that say what to do.

use std::time::Duration;

use crate::domain::tls_advice;
use crate::warehouse::error::{Cause, WarehouseError};

/// The part of an answer that a message quotes, in characters.
const EXCERPT: usize = 300;

/// Why a question went unanswered.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server did not answer, or not to the end.
    Transport(reqwest::Error),
    /// It answered with an error.
    Server { status: u16, code: Option<i32>, message: String },
}

impl Fault {
    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        Fault::Transport(error.without_url())
    }

    /// ClickHouse begins an error with `Code: 60, `.
    pub(super) fn of_server(status: u16, text: &str) -> Self {
        let code = text.rfind("Code: ").and_then(|at| text[at + 6..].split(',').next()?.trim().parse().ok());
        let line: Vec<&str> = text.split_whitespace().collect();
        let mut message = line.join(" ");
        if let Some((end, _)) = message.char_indices().nth(EXCERPT) {
            message.truncate(end);
            message.push('…');
        }
        Fault::Server { status, code, message }
    }

    pub(super) fn too_long() -> Self {
        let message = "the answer is longer than 256 MiB".to_owned();
        Fault::Server { status: 200, code: None, message }
    }

    pub(super) fn unspoken() -> Self {
        let message = "the password holds a character that no HTTP header can carry".to_owned();
        Fault::Server { status: 0, code: None, message }
    }

    /// The line of the question that a syntax error speaks of: `failed at position 29 (line 2, col 5)`.
    pub(super) fn line(&self) -> Option<usize> {
        let Fault::Server { message, .. } = self else { return None };
        message.split("(line ").nth(1)?.split(',').next()?.trim().parse().ok()
    }

    /// Whether the question named something that is not there, or of another type.
    pub(super) fn concerns_schema(&self) -> bool {
        // Unknown column, function, table, database; illegal type; type mismatch; no such column in a table.
        let codes = [10, 16, 43, 46, 47, 53, 60, 81, 386];
        matches!(self, Fault::Server { code: Some(code), .. } if codes.contains(code))
    }

    fn cause(self) -> Cause {
        match self {
            Fault::Transport(error) => error.into(),
            Fault::Server { status, message, .. } => format!("status {status}: {message}").into(),
        }
    }
}

/// What the fault means for the run.
pub(super) fn in_words(fault: Fault, doing: &str, place: &str, timeout: Duration) -> WarehouseError {
    let (warehouse, doing) = (place.to_owned(), doing.to_owned());
    let code = match &fault {
        Fault::Transport(error) if error.is_timeout() && !error.is_connect() => {
            return WarehouseError::TimedOut { doing, timeout };
        }
        Fault::Transport(error) => {
            if let Some(told) = of_tls(error) {
                return WarehouseError::Tls { warehouse, advice: tls_advice(&told), source: fault.cause() };
            }
            return WarehouseError::Unreachable { warehouse, source: fault.cause() };
        }
        Fault::Server { code, status, .. } => code.unwrap_or(if *status == 401 { 193 } else { 0 }),
    };
    match code {
        159 | 160 => WarehouseError::TimedOut { doing, timeout },
        // A shard, or all its replicas, cannot be reached: what the others have is a part, and no answer.
        279 | 209 | 210 | 32 | 3 | 198 => WarehouseError::Query {
            doing: format!("{doing}, of which a shard does not answer,"),
            source: fault.cause(),
        },
        497 | 291 => WarehouseError::Forbidden { warehouse, doing, source: fault.cause() },
        // Unknown user, wrong password, required password, address not allowed; too many queries at once; unknown database.
        192 | 193 | 194 | 195 | 516 | 202 | 81 => WarehouseError::Unreachable { warehouse, source: fault.cause() },
        _ => WarehouseError::Query { doing, source: fault.cause() },
    }
}

/// What a failed handshake said of itself.
fn of_tls(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(format!("{error:?}"));
        }
        // An I/O error that stands for another passes it over in its chain.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// A server that would answer with what some of its shards have.
pub(super) fn leaves_out_shards(place: &str) -> WarehouseError {
    WarehouseError::Unreachable {
        warehouse: place.to_owned(),
        source: "its profile for this user has skip_unavailable_shards = 1, so an answer may silently lack a shard's units; \
                 set it to 0"
            .into(),
    }
}

/// A user for whom no limit can be set.
pub(super) fn may_set_nothing(place: &str) -> WarehouseError {
    WarehouseError::Unreachable {
        warehouse: place.to_owned(),
        source: "its profile for this user has readonly = 1, so that no query can be given a limit of time; set readonly = 2, \
                 which lets nothing be written either"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(status: u16, text: &str) -> WarehouseError {
        in_words(Fault::of_server(status, text), "collecting", "ClickHouse h:8123/", Duration::from_secs(3))
    }

    #[test]
    fn codes_say_whom_a_fault_concerns() {
        assert!(matches!(
            words(500, "Code: 159, e.displayText() = DB::Exception: Timeout"),
            WarehouseError::TimedOut { .. }
        ));
        let shard = words(500, "Code: 279, e.displayText() = DB::NetException: All connection tries failed");
        assert!(!shard.is_outage() && shard.to_string().contains("a shard does not answer"), "{shard}");
        assert!(words(401, "Code: 193, e.displayText() = DB::Exception: Wrong password").is_outage());
        assert!(words(500, "Code: 497, e.displayText() = DB::Exception: Not enough privileges").is_outage());
        assert!(!words(500, "Code: 241, e.displayText() = DB::Exception: Memory limit").is_outage());
        assert!(Fault::of_server(404, "Code: 60, e.displayText() = …").concerns_schema());
    }
}
