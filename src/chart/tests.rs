//! What holds for every picture, whatever it is given.

use jiff::civil::{Date, date};
use resvg::usvg::{Group, Node, Rect};

use super::drawing::{Drawing, WIDTH};
use super::*;
use crate::domain::Direction;

/// The heaviest picture that a mail should carry.
const MOST_BYTES: usize = 40 * 1024;

fn row(metric: &str, better: Direction, margin: f64, (low, high): (f64, f64), verdict: &str, tone: Tone) -> ForestRow {
    ForestRow {
        metric: metric.to_owned(),
        better,
        scale: Scale::Lift,
        bound: Some(margin),
        estimate: Some(0.5 * (low + high)),
        interval: Some((low, high)),
        verdict: verdict.to_owned(),
        tone,
        missing: String::new(),
    }
}

fn forest() -> Forest {
    let (up, down) = (Direction::Increase, Direction::Decrease);
    let rows = vec![
        row("plan_acceptance_rate", up, 0.05, (-0.150, -0.098), "breach", Tone::Bad),
        row("average_edits", down, 0.10, (-0.021, 0.045), "safe", Tone::Good),
        row("validator_interventions", down, 0.05, (-0.060, 0.102), "inconclusive", Tone::Open),
        ForestRow {
            scale: Scale::Value { control: Some(0.0087) },
            ..row("slow_plans", down, 0.01, (0.0088, 0.0102), "inconclusive", Tone::Open)
        },
        ForestRow {
            interval: None,
            estimate: None,
            missing: "too few units yet: 1204 of 5000".to_owned(),
            ..row("completion_rate", up, 0.05, (0.0, 0.0), "insufficient", Tone::Open)
        },
        row("cost_per_plan", down, 0.10, (-0.90, f64::INFINITY), "inconclusive", Tone::Open),
    ];
    Forest { title: "ranker_v7 against control".into(), subtitle: "evidence as of 31 Mar 2026".into(), rows }
}

pub(super) fn day(number: usize) -> Date {
    date(2026, 3, 1).saturating_add(jiff::Span::new().days(i64::try_from(number).unwrap()))
}

fn trajectory(nights: usize) -> Trajectory {
    let night = |at: usize| {
        let half = 0.3 / (1.0 + at as f64);
        let measured = at >= 3 && at != 9;
        Night {
            date: day(at),
            estimate: measured.then_some(-0.065),
            interval: measured.then_some((-0.065 - half, -0.065 + half)),
            share: if at < 4 { 0.1 } else { 0.25 },
        }
    };
    Trajectory {
        title: "plan_acceptance_rate, ranker_v7".into(),
        subtitle: "lift over control".into(),
        better: Direction::Increase,
        scale: Scale::Lift,
        bound: Some(0.05),
        nights: (0..nights).map(night).collect(),
        crossing: Some(Crossing { date: day(20), verdict: "breach".into(), tone: Tone::Bad }),
    }
}

fn ramp(nights: usize) -> Ramp {
    let night = |at: usize| {
        let (share, act, by) = match at {
            0 => (0.1, Act::Set, DecidedBy::Hand),
            3 => (0.25, Act::Ramp, DecidedBy::Job),
            8 => (0.5, Act::Ramp, DecidedBy::Job),
            14 => (0.0, Act::Rollback, DecidedBy::Job),
            at if at > 14 => (0.0, Act::Hold, DecidedBy::Job),
            at if at > 8 => (0.5, Act::Hold, DecidedBy::Job),
            at if at > 3 => (0.25, Act::Hold, DecidedBy::Job),
            _ => (0.1, Act::Hold, DecidedBy::Job),
        };
        RampNight { date: day(at), share, act: Some(act), by }
    };
    Ramp { title: "ranker_v7".into(), subtitle: "share of new units".into(), nights: (0..nights).map(night).collect() }
}

fn split(rows: usize) -> Split {
    let row = |at: usize| SplitRow {
        label: words::date(day(at)),
        planned: 0.25,
        candidate_units: 4204 + 7 * at as u64,
        control_units: 14110,
    };
    Split {
        title: "ranker_v7 against control".into(),
        subtitle: "units by day".into(),
        rows: (0..rows).map(row).collect(),
        log_e: 30.1,
        threshold: 1000.0,
        mismatch: true,
    }
}

/// Every line of text with the box of its ink.
fn texts(drawing: &Drawing, height: f64) -> Vec<(String, Rect)> {
    fn gather(group: &Group, found: &mut Vec<(String, Rect)>) {
        for node in group.children() {
            match node {
                Node::Group(inside) => gather(inside, found),
                Node::Text(text) => {
                    let words: String = text.chunks().iter().map(|chunk| chunk.text()).collect();
                    found.push((words, text.flattened().abs_bounding_box()));
                }
                _ => {}
            }
        }
    }
    let tree = raster::tree(&drawing.svg(height)).unwrap();
    let mut found = Vec::new();
    gather(tree.root(), &mut found);
    found
}

/// No text lies on another, and none leaves the plate.
pub(super) fn check_layout((drawing, height): (Drawing, f64)) -> Vec<String> {
    let texts = texts(&drawing, height);
    for (at, (words, ink)) in texts.iter().enumerate() {
        let inside = ink.left() >= 6.0 && ink.right() <= WIDTH as f32 - 6.0;
        let inside = inside && ink.top() >= 6.0 && ink.bottom() <= height as f32 - 6.0;
        assert!(inside, "{words} leaves the plate of {height}: {ink:?}");
        for (other, its) in &texts[at + 1..] {
            let apart = ink.right() <= its.left() + 0.5 || its.right() <= ink.left() + 0.5;
            let apart = apart || ink.bottom() <= its.top() + 0.5 || its.bottom() <= ink.top() + 0.5;
            assert!(apart, "{words} {ink:?} lies on {other} {its:?}");
        }
    }
    texts.into_iter().map(|(words, _)| words).collect()
}

/// The picture is what its fields promise.
fn check_picture(picture: &Picture) {
    assert!(picture.png.len() <= MOST_BYTES, "{} bytes", picture.png.len());
    let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.png)).read_info().unwrap();
    let info = reader.info();
    assert_eq!((info.width, info.height), (2 * picture.width, 2 * picture.height));
    assert_eq!(picture.width, 560);
    assert!(info.trns.is_none(), "the picture is not opaque");
    let mut dots = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut dots).unwrap();
    let drawn = dots.iter().filter(|byte| **byte != 0).count();
    assert!(drawn > dots.len() / 500, "the picture is blank");
    let corners = [dots[0], dots[dots.len() - 1]];
    assert_eq!(corners, [0, 0], "the plate has no white edge");
    assert!(!picture.alt.is_empty() && !picture.alt.chars().any(char::is_control), "{:?}", picture.alt);
}

#[test]
fn usual_pictures_are_whole_light_and_the_same_each_time() {
    let (forest, split) = (forest(), split(4));
    for picture in [
        || super::tests::forest().draw(),
        || trajectory(24).draw(),
        || ramp(18).draw(),
        || super::tests::split(4).draw(),
    ] {
        let once = picture().unwrap();
        check_picture(&once);
        assert_eq!(once, picture().unwrap());
    }
    check_layout(forest.compose());
    check_layout(trajectory(24).compose());
    check_layout(ramp(18).compose());
    check_layout(split.compose());
}

#[test]
fn the_least_and_the_most_are_drawn_too() {
    let many = |count: usize| Forest { rows: forest().rows.into_iter().cycle().take(count).collect(), ..forest() };
    for picture in [
        many(0).draw(),
        many(1).draw(),
        many(60).draw(),
        trajectory(0).draw(),
        trajectory(1).draw(),
        trajectory(4).draw(),
        trajectory(400).draw(),
        ramp(0).draw(),
        ramp(1).draw(),
        ramp(400).draw(),
        split(0).draw(),
        split(1).draw(),
        split(400).draw(),
    ] {
        check_picture(&picture.unwrap());
    }
    for composed in [many(60).compose(), trajectory(400).compose(), ramp(400).compose(), split(400).compose()] {
        check_layout(composed);
    }
}

#[test]
fn worse_is_drawn_on_the_left_whichever_way_the_metric_should_go() {
    let one = |better, low: f64, high: f64| {
        let row = row("metric", better, 0.05, (low, high), "inconclusive", Tone::Open);
        let (drawing, height) = Forest { rows: vec![row], ..forest() }.compose();
        let shapes = drawing
            .svg(height)
            .split("<text")
            .map(|part| part.split_once("</text>").map_or(part, |p| p.1))
            .collect::<String>();
        (shapes, check_layout((drawing, height)))
    };
    let (up, up_words) = one(Direction::Increase, -0.08, -0.02);
    let (down, down_words) = one(Direction::Decrease, 0.02, 0.08);
    assert_eq!(up, down, "the same harm is drawn in two places");
    assert!(up_words.contains(&"−5.0 % (−8.0 to −2.0 %)".to_owned()), "{up_words:?}");
    assert!(down_words.contains(&"+5.0 % (+2.0 to +8.0 %)".to_owned()), "{down_words:?}");
}

#[test]
fn what_is_drawn_is_also_said() {
    let words = check_layout(forest().compose());
    for said in ["breach", "−12.4 % (−15.0 to −9.8 %)", "margin −5 %", "limit 0.01", "0.0095 (0.0088 to 0.0102)"]
    {
        assert!(words.iter().any(|text| text == said), "{said} is not in {words:?}");
    }
    let alt = forest().draw().unwrap().alt;
    for said in [
        "Forest plot: ranker_v7 against control, evidence as of 31 Mar 2026. ",
        "plan_acceptance_rate: breach, −12.4 % (−15.0 to −9.8 %), higher is better, margin −5 %. ",
        "average_edits: safe, +1.2 % (−2.1 to +4.5 %), lower is better, margin +10 %. ",
        "completion_rate: insufficient, too few units yet: 1204 of 5000, higher is better, margin −5 %. ",
        "to +∞ %), lower is better, margin +10 %.",
    ] {
        assert!(alt.contains(said), "{said:?} is not in {alt:?}");
    }
    let alt = trajectory(24).draw().unwrap().alt;
    assert_eq!(
        alt,
        "Interval by night: plan_acceptance_rate, ranker_v7, lift over control. Direction: higher is better, margin −5 %. \
         4 Mar 2026: −6.5 % (−14.0 to +1.0 %); 24 Mar 2026: −6.5 % (−7.8 to −5.3 %). 20 of 24 nights with an interval. \
         5 Mar 2026: share 10 % to 25 %. Settled: breach on 21 Mar 2026."
    );
    let words = check_layout(trajectory(24).compose());
    for said in ["10 → 25 %", "breach on 21 Mar", "margin −5 %", "−6.5 %", "control"] {
        assert!(words.iter().any(|text| text == said), "{said} is not in {words:?}");
    }
    let alt = ramp(16).draw().unwrap().alt;
    assert_eq!(
        alt,
        "Share by night: ranker_v7, share of new units. 10 % on 1 Mar 2026 at first, 0 % on 16 Mar 2026 at last. \
         1 Mar 2026: SET 10 %, by hand. 4 Mar 2026: RAMP 10 → 25 %, by job. 9 Mar 2026: RAMP 25 → 50 %, by job. \
         15 Mar 2026: ROLLBACK 50 → 0 %, by job. Held on 12 nights."
    );
    let alt = split(1).draw().unwrap().alt;
    assert_eq!(
        alt,
        "Split of units: ranker_v7 against control, units by day. Units did not split as planned: e-value 10^13 against \
         the planned split; a mismatch from 1000 on. 1 Mar 2026: 22.96 % seen, 25 % planned, 4,204 of \
         18,314 units."
    );
}

#[test]
fn rows_that_find_no_room_are_counted_and_the_bad_ones_stay() {
    let good = |at: usize| row(&format!("metric_{at}"), Direction::Increase, 0.05, (-0.01, 0.02), "safe", Tone::Good);
    let mut rows: Vec<ForestRow> = (0..60).map(good).collect();
    rows[59] = row("the_bad_one", Direction::Increase, 0.05, (-0.2, -0.1), "breach", Tone::Bad);
    let words = check_layout(Forest { rows: rows.clone(), ..forest() }.compose());
    assert!(words.contains(&"the_bad_one".to_owned()) && words.contains(&"and 51 more, none shown worse".to_owned()));
    let all_bad = rows.iter().map(|row| ForestRow { tone: Tone::Bad, ..row.clone() }).collect();
    let words = check_layout(Forest { rows: all_bad, ..forest() }.compose());
    assert!(words.contains(&"and 51 more, 51 shown worse".to_owned()), "{words:?}");
    let words = check_layout(split(60).compose());
    assert!(words.contains(&"50 more before".to_owned()), "{words:?}");
}

#[test]
fn a_share_that_changed_without_an_act_was_set_by_somebody() {
    let night = |at: usize, share| RampNight { date: day(at), share, act: Some(Act::Hold), by: DecidedBy::Job };
    let ramp = Ramp { nights: vec![night(0, 0.25), night(1, 0.1), night(2, f64::NAN)], ..ramp(0) };
    assert!(ramp.draw().unwrap().alt.contains("2 Mar 2026: SET 25 → 10 %, by hand"), "{}", ramp.draw().unwrap().alt);
}
