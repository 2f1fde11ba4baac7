//! The report as HTML and as text, from templates; every number is formatted here and nowhere else.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::night::{CandidateReport, ExperimentReport, NightReport, Standing};
use crate::decide::{Outcome, Percent, Rounded};
use crate::domain::{Bound, Direction};
use crate::evidence::{Reading, Scale};

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the syntax is the default one"));
    for (name, source) in
        [("digest.html", include_str!("templates/digest.html")), ("digest.txt", include_str!("templates/digest.txt"))]
    {
        environment.add_template(name, source).expect("the embedded templates are tested to parse");
    }
    environment
});

/// The report as a page that mail programs show, too.
pub fn render_html(report: &NightReport) -> String {
    render("digest.html", report)
}

/// The same words and numbers as plain text.
pub fn render_text(report: &NightReport) -> String {
    render("digest.txt", report)
}

fn render(template: &str, report: &NightReport) -> String {
    let view = NightView::of(report);
    let rendered = TEMPLATES.get_template(template).and_then(|template| template.render(Serde(&view)));
    // A report must reach its readers even if a template fails on what nobody foresaw.
    rendered.unwrap_or_else(|error| format!("{} as of {} ({error:#})", report.summary(), report.as_of))
}

#[derive(Serialize)]
struct NightView<'a> {
    as_of: String,
    run: Option<String>,
    summary: String,
    headline: String,
    acted: Vec<ExperimentView<'a>>,
    held: Vec<ExperimentView<'a>>,
    resumed: &'a [String],
    moved: &'a [String],
    unfinished: &'a [String],
    incidents: Vec<String>,
}

#[derive(Serialize)]
struct ExperimentView<'a> {
    name: &'a str,
    failed: Option<&'a str>,
    already_decided: bool,
    notes: Vec<String>,
    allocations: Vec<String>,
    steps: &'a [String],
    candidates: Vec<CandidateView<'a>>,
}

#[derive(Serialize)]
struct CandidateView<'a> {
    name: &'a str,
    word: &'static str,
    colour: &'static str,
    change: String,
    stage: String,
    reasons: Vec<String>,
    forecast: Option<String>,
    units: String,
    split: Option<String>,
    data_through: String,
    decision_id: Option<String>,
    revision: i64,
    metrics: Vec<MetricView<'a>>,
}

#[derive(Serialize)]
struct MetricView<'a> {
    name: &'a str,
    role: &'static str,
    control: String,
    candidate: String,
    effect: String,
    interval: String,
    bound: String,
    verdict: &'static str,
    colour: &'static str,
}

impl<'a> NightView<'a> {
    fn of(report: &'a NightReport) -> Self {
        let moved = |e: &&ExperimentReport| {
            let changed = |c: &CandidateReport| c.decision.outcome != Outcome::Hold;
            let failed = matches!(e.standing, Standing::Failed { .. });
            failed || !e.by_hand.is_empty() || (e.standing == Standing::Decided && e.candidates.iter().any(changed))
        };
        let (acted, held): (Vec<_>, Vec<_>) = report.experiments.iter().partition(moved);
        NightView {
            as_of: report.as_of.to_string(),
            run: report.run.map(|run| run.to_string()),
            summary: report.summary(),
            headline: headline(report),
            acted: acted.into_iter().map(ExperimentView::of).collect(),
            held: held.into_iter().map(ExperimentView::of).collect(),
            resumed: &report.resumed,
            moved: &report.moved,
            unfinished: &report.unfinished,
            incidents: report.incidents.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Acted, broken or quiet: the first thing that a reader needs to know.
fn headline(report: &NightReport) -> String {
    let acted = report.count(|outcome| *outcome != Outcome::Hold);
    if report.has_failures() || !report.unfinished.is_empty() {
        return format!("Something needs you: {}", report.summary());
    }
    if acted > 0 { format!("Acted: {}", report.summary()) } else { format!("Quiet: {}", report.summary()) }
}

impl<'a> ExperimentView<'a> {
    fn of(report: &'a ExperimentReport) -> Self {
        ExperimentView {
            name: &report.name,
            failed: match &report.standing {
                Standing::Failed { why } => Some(why),
                Standing::Decided | Standing::AlreadyDecided => None,
            },
            already_decided: report.standing == Standing::AlreadyDecided,
            notes: report.notes(),
            allocations: report.allocations.iter().map(|a| format!("{}: {} → {}", a.name, a.from, a.to)).collect(),
            steps: &report.steps,
            candidates: report.candidates.iter().map(|candidate| CandidateView::of(candidate, report)).collect(),
        }
    }
}

impl<'a> CandidateView<'a> {
    fn of(report: &'a CandidateReport, experiment: &ExperimentReport) -> Self {
        let assessment = &report.assessment;
        let (word, colour) = match report.decision.outcome {
            Outcome::Rollback => ("ROLLED BACK", "#b42318"),
            Outcome::Promote => ("PROMOTED", "#067647"),
            Outcome::Ramp { .. } => ("RAMPED", "#175cd3"),
            Outcome::Hold => ("HELD", "#475467"),
        };
        let change = match experiment.allocations.iter().find(|a| a.name == report.name).filter(|a| a.from != a.to) {
            Some(change) => format!("{} → {}", change.from, change.to),
            None => format!("stays at {}", report.share),
        };
        let metrics = assessment.guardrails.iter().map(|r| (r, "guardrail"));
        let metrics = metrics.chain(assessment.success.iter().map(|r| (r, "success")));
        CandidateView {
            name: &report.name,
            word,
            colour,
            change,
            stage: format!("stage {} of {}", report.stage.0, report.stage.1),
            reasons: report.decision.reasons.iter().map(ToString::to_string).collect(),
            forecast: report.forecast.as_ref().map(ToString::to_string),
            units: format!("control {}, candidate {}", assessment.control_units, assessment.candidate_units),
            split: assessment.split.as_ref().map(|split| {
                let word = if split.mismatch { "mismatched" } else { "as planned" };
                format!(
                    "{word}: {} candidate units, planned {:.0}",
                    split.candidate_units, split.planned_candidate_units
                )
            }),
            data_through: assessment.evidence_through.map_or("no closed cohort yet".into(), |date| date.to_string()),
            decision_id: report.decision_id.map(|id| id.to_string()),
            revision: report.revision,
            metrics: metrics.map(|(reading, role)| MetricView::of(reading, role)).collect(),
        }
    }
}

impl<'a> MetricView<'a> {
    fn of(reading: &'a Reading, role: &'static str) -> Self {
        let value = |value: Option<f64>| value.map_or("–".to_owned(), |v| Rounded(v).to_string());
        let show = |effect: f64| match reading.scale {
            Scale::Lift => Percent(effect).to_string(),
            Scale::Value => Rounded(effect).to_string(),
        };
        MetricView {
            name: &reading.metric,
            role,
            control: value(reading.control),
            candidate: value(reading.candidate),
            effect: reading.effect.map_or("–".to_owned(), show),
            interval: reading.interval.map_or("–".to_owned(), |i| format!("{} to {}", show(i.low), show(i.high))),
            bound: match (reading.bound, reading.direction) {
                (Bound::Margin(margin), Direction::Increase) => format!("−{} %", Rounded(100.0 * margin.get())),
                (Bound::Margin(margin), Direction::Decrease) => format!("+{} %", Rounded(100.0 * margin.get())),
                (Bound::Ceiling(limit), _) => format!("≤ {}", Rounded(limit)),
                (Bound::Floor(limit), _) => format!("≥ {}", Rounded(limit)),
            },
            verdict: reading.verdict.word(),
            colour: if reading.verdict.is_harm() {
                "#b42318"
            } else if reading.verdict.is_safe() {
                "#067647"
            } else {
                "#475467"
            },
        }
    }
}
