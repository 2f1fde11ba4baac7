//! The site's templates, and how they are filled.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("templates/style.css");

/// The names of the templates.
pub(super) struct Names {
    pub(super) front: &'static str,
    pub(super) night: &'static str,
    pub(super) experiment: &'static str,
}

/// The pages.
pub(super) const PAGE: Names = Names { front: "front.html", night: "night.html", experiment: "experiment.html" };

const SOURCES: [(&str, &str); 5] = [
    ("base.html", include_str!("templates/base.html")),
    ("parts.html", include_str!("templates/parts.html")),
    (PAGE.front, include_str!("templates/front.html")),
    (PAGE.night, include_str!("templates/night.html")),
    (PAGE.experiment, include_str!("templates/experiment.html")),
];

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the syntax is the default one"));
    for (name, source) in SOURCES {
        environment.add_template(name, source).expect("the embedded templates are tested to parse");
    }
    environment
});

/// What pages look like depends on this, beside what they say.
pub fn look() -> String {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    for (_, source) in SOURCES {
        digest.update(source);
    }
    format!("{:x}", digest.finalize())[..16].to_owned()
}

/// Fills a template.
pub(super) fn page(template: &str, view: &impl Serialize) -> String {
    let rendered = TEMPLATES.get_template(template).and_then(|template| template.render(Serde(view)));
    // A page must be there even if a template fails on what nobody foresaw.
    rendered.unwrap_or_else(|error| {
        let told = format!("{error:#}").replace('&', "&amp;").replace('<', "&lt;");
        format!("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Rampkeeper</title>\n<p>This page could not be filled: {told}</p>\n")
    })
}
