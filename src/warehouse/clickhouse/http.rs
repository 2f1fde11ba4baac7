//! One question to ClickHouse's HTTP interface: authenticated by headers, bounded in time and size, answered as text.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use sqlx::types::Uuid;
use url::{Host, Url};

use super::ClickhouseSettings;
use super::faults::Fault;
use crate::warehouse::error::WarehouseError;
use crate::warehouse::sql::{Cell, Row, literal};

/// How long to wait for a server that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its own limit a server is waited for.
const GRACE: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes: moments of thousands of cohorts.
const LONGEST_ANSWER: usize = 256 << 20;

/// Statements longer than this are announced; a server takes no more than 256 KiB otherwise, in bytes.
const LONG_STATEMENT: usize = 128 << 10;

/// How a question is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With our settings: by all shards, within the time.
    Whole,
    /// With the settings of the user alone.
    WithoutSettings,
}

/// The server as HTTP sees it.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    url: Url,
    username: Option<String>,
    password: Option<SecretString>,
    database: Option<String>,
    place: String,
}

impl Http {
    /// Checks the settings; connects to nothing.
    pub(super) fn new(settings: ClickhouseSettings) -> Result<Self, WarehouseError> {
        let ClickhouseSettings { url, username, password, database, ca_file, .. } = settings;
        let place = format!(
            "ClickHouse {}:{}/{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default(),
            database.as_deref().unwrap_or_default()
        );
        let unusable = |why: String| WarehouseError::Unreachable { warehouse: place.clone(), source: why.into() };
        let carried = |text: &str| HeaderValue::from_str(text).is_ok();
        if !username.as_deref().is_none_or(carried)
            || !password.as_ref().is_none_or(|word| carried(word.expose_secret()))
        {
            return Err(unusable(
                "the user or the password holds a character that no HTTP header can carry".to_owned(),
            ));
        }
        let mut builder = Client::builder()
            .user_agent(concat!("rampkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // What is asked must not go elsewhere.
            .redirect(redirect::Policy::none());
        if let Some(file) = ca_file {
            let pem = std::fs::read(&file).map_err(|error| {
                unusable(format!("the certificate file {} could not be read: {error}", file.display()))
            })?;
            let found = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| unusable(format!("there is no certificate in the file {}", file.display())))?;
            builder = builder.tls_certs_merge(found);
        }
        if is_loopback(&url) {
            // A proxy is for what lies beyond this machine.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| unusable(format!("no HTTP client could be built: {error}")))?;
        Ok(Self { client, url, username, password, database, place })
    }

    /// Host, port and database; neither user nor password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Asks, and reads the answer's rows.
    pub(super) async fn ask(&self, sql: &str, limit: Duration, answer: Answer) -> Result<Vec<Row>, Fault> {
        let mut url = self.url.clone();
        let mut running = Running { http: self.clone(), query: format!("rampkeeper-{}", Uuid::new_v4()), done: false };
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("query_id", &running.query);
            if let Some(database) = &self.database {
                query.append_pair("database", database);
            }
            if answer == Answer::Whole {
                query
                    // 0 would be no limit.
                    .append_pair("max_execution_time", &limit.as_secs().max(1).to_string())
                    .append_pair("timeout_before_checking_execution_speed", "0")
                    .append_pair("skip_unavailable_shards", "0")
                    // Until the answer is complete nothing of it is sent, so that a failure is told by the status.
                    .append_pair("wait_end_of_query", "1")
                    .append_pair("join_use_nulls", "0")
                    // To compile expressions takes longer than they take, for a statement that is asked once.
                    .append_pair("compile_expressions", "0")
                    .append_pair("distributed_product_mode", "deny");
                if sql.len() > LONG_STATEMENT {
                    query.append_pair("max_query_size", &(2 * sql.len()).to_string());
                }
            }
        }
        let request = self.authenticated(self.client.post(url).timeout(limit + GRACE))?;
        let answer = read(request.body(format!("{sql}\nFORMAT TabSeparatedWithNamesAndTypes"))).await;
        // An answer that did not come to its end may still be worked on.
        running.done = !matches!(answer, Err(Fault::Transport(_)));
        let (status, body) = answer?;
        let text = String::from_utf8_lossy(&body);
        if !(200..300).contains(&status) {
            return Err(Fault::of_server(status, &text));
        }
        rows(&text).ok_or_else(|| Fault::of_server(status, &text))
    }

    fn authenticated(&self, request: RequestBuilder) -> Result<RequestBuilder, Fault> {
        let request = match &self.username {
            Some(user) => request.header("X-ClickHouse-User", user),
            None => request,
        };
        let request = match &self.password {
            Some(password) => {
                let mut value = HeaderValue::from_str(password.expose_secret()).map_err(|_| Fault::unspoken())?;
                value.set_sensitive(true);
                request.header("X-ClickHouse-Key", value)
            }
            None => request,
        };
        Ok(request)
    }
}

/// The status and the body of an answer.
async fn read(request: RequestBuilder) -> Result<(u16, Vec<u8>), Fault> {
    let mut response = request.send().await.map_err(Fault::of_transport)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Fault::of_transport)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(Fault::too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

/// Kills a query that nobody waits for any more: the server would not notice.
struct Running {
    http: Http,
    query: String,
    done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (http, sql) = (self.http.clone(), format!("KILL QUERY WHERE query_id = {} ASYNC", literal(&self.query)));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let request = http.authenticated(http.client.post(http.url.clone()).timeout(GRACE));
                let killed = match request {
                    Ok(request) => read(request.body(sql)).await,
                    Err(fault) => Err(fault),
                };
                // A server that cannot be reached any more runs nothing for us.
                if let Ok((status, _)) = killed
                    && status != 200
                {
                    tracing::warn!("a query of the warehouse may run on until its time is up: status {status}");
                }
            });
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The rows below the names and types of the columns. None if the text is no such answer, or was cut off.
fn rows(text: &str) -> Option<Vec<Row>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (_names, types) = (lines.next()?, lines.next()?);
    let types: Vec<&str> = types.split('\t').collect();
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells.len() == types.len())
                .then(|| cells.iter().zip(&types).map(|(cell, held)| self::cell(cell, held)).collect::<Option<Row>>())?
        })
        .collect()
}

fn cell(text: &str, held: &str) -> Option<Cell> {
    if text == "\\N" {
        return Some(Cell::Null);
    }
    let held = held.strip_prefix("Nullable(").and_then(|held| held.strip_suffix(')')).unwrap_or(held);
    if held.starts_with("Int") || held.starts_with("UInt") {
        text.parse().ok().map(Cell::Integer)
    } else if held.starts_with("Float") {
        match text {
            "nan" | "-nan" => Some(Cell::Float(f64::NAN)),
            text => text.parse().ok().map(Cell::Float),
        }
    } else {
        Some(Cell::Text(plain(text)))
    }
}

/// The text without the escapes of tab-separated values.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('r') => plain.push('\r'),
                Some('0') => plain.push('\0'),
                Some('b') => plain.push('\u{8}'),
                Some('f') => plain.push('\u{c}'),
                Some(c) => plain.push(c),
                None => plain.push('\\'),
            },
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_separated_answers_are_read_by_their_types() {
        let text = "a\tb\tc\tn\nUInt64\tFloat64\tString\tNullable(Float64)\n3\t-1.5e-300\to'b\\\\\\t\\'\t\\N\n4\tnan\t用户\tinf\n";
        let read = rows(text).unwrap();
        assert_eq!(read[0], [Cell::Integer(3), Cell::Float(-1.5e-300), Cell::Text("o'b\\\t'".into()), Cell::Null]);
        assert!(matches!(read[1][1], Cell::Float(x) if x.is_nan()));
        assert_eq!(read[1][3], Cell::Float(f64::INFINITY));
        assert_eq!(rows(""), Some(Vec::new()));
    }

    #[test]
    fn what_was_cut_off_is_no_answer() {
        assert_eq!(rows("a\tb\nUInt8\tUInt8\n1\t2\n3"), None);
        assert_eq!(rows("a\tb\nUInt8\tUInt8\n1\n"), None);
        assert_eq!(rows("a\nUInt8\nCode: 279, e.displayText() = DB::Exception\n"), None);
    }
}
