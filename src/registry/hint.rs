//! What to do about an answer that is no: the words that a log needs at three in the morning.

use reqwest::StatusCode;
use url::Url;

use super::Service;

/// What stands before the words of a web page.
const PAGE: &str = "a web page";

/// What to do about a refusal, when that is known. `code` is MLflow's; without one the answer came from something else.
pub(super) fn of(
    service: Service,
    base: &Url,
    status: StatusCode,
    (code, message): (Option<&str>, &str),
) -> Option<String> {
    let host = base.host_str().unwrap_or_default();
    let server = base.as_str().trim_end_matches('/');
    if status == StatusCode::FORBIDDEN && message.contains("Invalid Host header") {
        return Some(format!(
            "The server doesn't accept the host name `{host}`: start it with `--allowed-hosts {host}` or set \
             MLFLOW_SERVER_ALLOWED_HOSTS={host} for it"
        ));
    }
    if status.is_redirection() {
        return Some(format!(
            "{server} redirects, perhaps to a login page: redirects are not followed, so set the final URL or use \
             credentials that need no login page"
        ));
    }
    let hint = match (status, service) {
        (StatusCode::UNAUTHORIZED, Service::Mlflow) => {
            "Nobody is let in without the right credentials: check MLFLOW_TRACKING_USERNAME and \
             MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, or what `registry.mlflow` names instead"
        }
        (StatusCode::FORBIDDEN, Service::Mlflow) => {
            "That user may not do it: give it EDIT on the model, or check MLFLOW_TRACKING_USERNAME and \
             MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        }
        (StatusCode::UNAUTHORIZED, _) => "Check DATABRICKS_TOKEN or the profile's token, and whether it has expired",
        (StatusCode::FORBIDDEN, Service::Databricks) => {
            "The token's user needs CAN MANAGE PRODUCTION VERSIONS on the model"
        }
        (StatusCode::FORBIDDEN, Service::UnityCatalog) => {
            "The token's user must own the model to set its aliases, with USE CATALOG and USE SCHEMA beside"
        }
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) if code.is_none() => {
            return Some(format!("Is {server} the address of an MLflow server, path included?"));
        }
        (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT, _)
            if message.starts_with(PAGE) =>
        {
            "A proxy answered and not MLflow: the server behind it is down, starting or too slow"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Of a web page what a person would read first: its title or, without one, its text. Anything else as it is.
pub(super) fn without_markup(text: &str) -> String {
    let start = text.trim_start();
    let is_page = ["<!doctype html", "<html", "<head", "<body", "<h1"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag)));
    if !is_page {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len());
    let title = title.and_then(|from| Some(&text[from..from + lower[from..].find("</title>")?]));
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("{PAGE}, \u{201c}{title}\u{201d}"),
        None => format!("{PAGE}, {}", between_tags(text)),
    }
}

fn between_tags(text: &str) -> String {
    let mut told = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                told.push(' ');
            }
            _ if !inside => told.push(c),
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_told_by_its_title() {
        let page = "<!DOCTYPE html>\n<html><head><title>\n 502 Bad Gateway </title></head><body>nginx</body></html>";
        assert_eq!(without_markup(page), "a web page, \u{201c}502 Bad Gateway\u{201d}");
        assert_eq!(
            without_markup("<h1>Not Found</h1>").split_whitespace().collect::<Vec<_>>().join(" "),
            "a web page, Not Found"
        );
        assert_eq!(without_markup("a < b"), "a < b");
        assert_eq!(without_markup("<ht\u{e4}"), "<ht\u{e4}");
    }

    #[test]
    fn a_proxys_answer_is_not_taken_for_the_servers() {
        let base: Url = "https://mlflow.example.com/".parse().unwrap();
        let told = |status, code| of(Service::Mlflow, &base, status, (code, "a web page, x")).unwrap_or_default();
        assert!(told(StatusCode::BAD_GATEWAY, None).contains("A proxy answered"));
        assert_eq!(of(Service::Mlflow, &base, StatusCode::BAD_GATEWAY, (None, "out of order")), None);
        assert!(told(StatusCode::METHOD_NOT_ALLOWED, None).contains("https://mlflow.example.com the address"));
        let owner = of(Service::UnityCatalog, &base, StatusCode::FORBIDDEN, (Some("PERMISSION_DENIED"), ""));
        assert!(owner.unwrap().contains("must own the model"));
    }
}
