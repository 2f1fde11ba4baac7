//! A drawing in CSS pixels, written as SVG.

use std::fmt::Write;

use super::letters::{FAMILY, Weight};
use super::palette::{Colour, PLATE, SOFT, Tone};

/// How wide every picture is: it fits into the 600 pixels of a mail.
pub(super) const WIDTH: f64 = 560.0;
/// The white around a picture's content.
pub(super) const PADDING: f64 = 16.0;
/// Where content ends on the right.
pub(super) const RIGHT: f64 = WIDTH - PADDING;
/// The least size of text.
pub(super) const SMALL: f64 = 11.0;
/// The size of names and verdicts.
pub(super) const PLAIN: f64 = 12.0;

/// Which point of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub size: f64,
    pub weight: Weight,
    pub colour: Colour,
    pub anchor: Anchor,
}

impl Type {
    pub fn plain(colour: Colour) -> Type {
        Type { size: PLAIN, weight: Weight::Regular, colour, anchor: Anchor::Start }
    }

    pub fn small(colour: Colour) -> Type {
        Type { size: SMALL, ..Type::plain(colour) }
    }

    pub fn bold(self) -> Type {
        Type { weight: Weight::Bold, ..self }
    }

    pub fn anchored(self, anchor: Anchor) -> Type {
        Type { anchor, ..self }
    }
}

/// How a line looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub colour: Colour,
    pub width: f64,
    /// Dash and gap.
    pub dash: Option<(f64, f64)>,
}

impl Stroke {
    pub fn new(colour: Colour, width: f64) -> Stroke {
        Stroke { colour, width, dash: None }
    }

    pub fn dashed(self, dash: f64, gap: f64) -> Stroke {
        Stroke { dash: Some((dash, gap)), ..self }
    }

    fn attributes(&self) -> String {
        let dash = self.dash.map_or(String::new(), |(dash, gap)| format!(r#" stroke-dasharray="{dash} {gap}""#));
        format!(r#"stroke="{}" stroke-width="{}"{dash}"#, self.colour, self.width)
    }
}

/// Shapes on a white plate, the later ones above the earlier.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    shapes: String,
}

impl Drawing {
    /// The SVG of a plate that is as high as told.
    pub fn svg(&self, height: f64) -> String {
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="{FAMILY}"><rect width="{WIDTH}" height="{height}" fill="{PLATE}"/>{}</svg>"#,
            self.shapes
        )
    }

    /// Writes one line of text with its baseline at `y`.
    pub fn text(&mut self, x: f64, y: f64, look: Type, text: &str) {
        if text.is_empty() {
            return;
        }
        let weight = if look.weight == Weight::Bold { r#" font-weight="700""# } else { "" };
        let anchor = match look.anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (size, colour) = (look.size, look.colour);
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.add(&[x, y], |[x, y]| {
            format!(r#"<text x="{x}" y="{y}" font-size="{size}"{weight}{anchor} fill="{colour}">{escaped}</text>"#)
        });
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        let look = stroke.attributes();
        self.add(&[from.0, from.1, to.0, to.1], |[x1, y1, x2, y2]| {
            format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {look}/>"#)
        });
    }

    pub fn rect(&mut self, left: f64, top: f64, width: f64, height: f64, fill: Colour) {
        self.add(&[left, top, width.max(0.0), height.max(0.0)], |[x, y, w, h]| {
            format!(r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"/>"#)
        });
    }

    /// A filled shape with straight sides.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: Colour) {
        if let Some(points) = joined(points) {
            let _ = write!(self.shapes, r#"<polygon points="{points}" fill="{fill}"/>"#);
        }
    }

    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        if let Some(points) = joined(points) {
            let look = stroke.attributes();
            let round = r#"stroke-linejoin="round" stroke-linecap="round""#;
            let _ = write!(self.shapes, r#"<polyline points="{points}" fill="none" {look} {round}/>"#);
        }
    }

    pub fn circle(&mut self, x: f64, y: f64, radius: f64, fill: Colour, stroke: Stroke) {
        let look = stroke.attributes();
        self.add(&[x, y], |[x, y]| format!(r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}" {look}/>"#));
    }

    /// The point of an estimate: a diamond is bad, a full circle good, a ring open.
    pub fn point(&mut self, x: f64, y: f64, tone: Tone) {
        match tone {
            Tone::Bad => self.diamond(x, y, 6.0, tone.colour()),
            Tone::Good => self.circle(x, y, 4.5, tone.colour(), Stroke::new(PLATE, 1.0)),
            Tone::Open => self.circle(x, y, 4.0, PLATE, Stroke::new(tone.colour(), 2.0)),
        }
    }

    pub fn diamond(&mut self, x: f64, y: f64, radius: f64, fill: Colour) {
        let corners = |r: f64| [(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
        self.polygon(&corners(radius + 1.0), PLATE);
        self.polygon(&corners(radius), fill);
    }

    /// A verdict's sign: a cross is bad, a tick good, a ring open.
    pub fn sign(&mut self, x: f64, y: f64, radius: f64, tone: Tone) {
        let (colour, r) = (tone.colour(), radius / 6.0);
        let white = Stroke::new(PLATE, 1.6 * r);
        if tone == Tone::Open {
            self.circle(x, y, radius - r, PLATE, Stroke::new(colour, 1.6 * r));
            return;
        }
        self.circle(x, y, radius, colour, Stroke::new(colour, 0.0));
        if tone == Tone::Good {
            self.polyline(&[(x - 2.8 * r, y + 0.2 * r), (x - 0.8 * r, y + 2.3 * r), (x + 2.9 * r, y - 2.0 * r)], white);
        } else {
            let d = 2.3 * r;
            self.polyline(&[(x - d, y - d), (x + d, y + d)], white);
            self.polyline(&[(x - d, y + d), (x + d, y - d)], white);
        }
    }

    /// An arrow head whose tip is at (x, y).
    pub fn arrow(&mut self, x: f64, y: f64, towards: Towards, size: f64, fill: Colour) {
        let (half, long) = (0.6 * size, size);
        let points = match towards {
            Towards::Left => [(x, y), (x + long, y - half), (x + long, y + half)],
            Towards::Right => [(x, y), (x - long, y - half), (x - long, y + half)],
            Towards::Up => [(x, y), (x - half, y + long), (x + half, y + long)],
            Towards::Down => [(x, y), (x - half, y - long), (x + half, y - long)],
        };
        self.polygon(&points, fill);
    }

    /// Draws what `inside` draws, but nothing of it outside a window. A drawing has one such window.
    pub fn clipped(&mut self, left: f64, top: f64, width: f64, height: f64, inside: impl FnOnce(&mut Drawing)) {
        self.shapes += r#"<clipPath id="window">"#;
        self.rect(left, top, width, height, PLATE);
        self.shapes += r#"</clipPath><g clip-path="url(#window)">"#;
        inside(self);
        self.shapes += "</g>";
    }

    /// The title and what it speaks of; returns where the content may begin.
    pub fn heading(&mut self, title: &str, subtitle: &str) -> f64 {
        let room = RIGHT - PADDING;
        let mut below = PADDING;
        let bold = Type { size: 15.0, ..Type::plain(super::palette::INK).bold() };
        for (text, look, leading) in [(title, bold, 20.0), (subtitle, Type::plain(SOFT), 18.0)] {
            let text = super::letters::cut(text, look.size, look.weight, room);
            if !text.is_empty() {
                self.text(PADDING, below + look.size - 1.0, look, &text);
                below += leading;
            }
        }
        below + 8.0
    }

    /// Adds a shape unless one of its numbers is none: a shape in the wrong place would say something untrue.
    fn add<const N: usize>(&mut self, numbers: &[f64; N], shape: impl FnOnce([String; N]) -> String) {
        if numbers.iter().all(|number| number.is_finite()) {
            self.shapes += &shape(numbers.map(short));
        }
    }
}

/// Which way an arrow points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    Left,
    Right,
    Up,
    Down,
}

fn joined(points: &[(f64, f64)]) -> Option<String> {
    if points.is_empty() || points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return None;
    }
    let pairs: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
    Some(pairs.join(" "))
}

/// A coordinate to a hundredth of a pixel.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The nearest place where a thin upright or level line is sharp.
pub(super) fn sharp(place: f64) -> f64 {
    (2.0 * place).round() / 2.0
}
