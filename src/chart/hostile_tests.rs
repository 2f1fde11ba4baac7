//! Whatever names and numbers come, a picture is drawn, and no text lies on another.

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::tests::{check_layout, day};
use super::*;
use crate::domain::Direction;

const NAMES: [&str; 9] = [
    "",
    "plan_acceptance_rate",
    "<script>alert(1)</script> & \"quotes\" 'more' ]]> &amp;",
    "מדד\u{202e}הפוך عربي",
    "🦀🏳️‍🌈 emoji 中文字 ไทย",
    "null\u{0}bell\u{7}\r\nline\u{ffff}\u{fffe}",
    "z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}algo",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "many short words that go on and on until there is no room for them any more, whatever one does about it all",
];

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
        prop::collection::vec(any::<char>(), 0..400).prop_map(|letters| letters.into_iter().collect()),
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -0.5..0.5f64,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e-300, 1e12, -7e5,
        ]),
    ]
}

fn any_interval() -> impl Strategy<Value = Option<(f64, f64)>> {
    let ordered = (any_number(), any_number()).prop_map(|(a, b)| if a <= b { (a, b) } else { (b, a) });
    prop_oneof![1 => Just(None), 6 => ordered.prop_map(Some), 1 => (any_number(), any_number()).prop_map(Some)]
}

fn any_scale() -> impl Strategy<Value = Scale> {
    let value = prop::option::of(any_number()).prop_map(|control| Scale::Value { control });
    prop_oneof![2 => Just(Scale::Lift), 1 => value]
}

fn any_direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Increase, Direction::Decrease])
}

fn any_tone() -> impl Strategy<Value = Tone> {
    prop::sample::select(vec![Tone::Bad, Tone::Good, Tone::Open])
}

fn any_date() -> impl Strategy<Value = Date> {
    prop_oneof![
        9 => (0..40usize).prop_map(day),
        1 => prop::sample::select(vec![Date::MIN, Date::MAX, date(2000, 2, 29)]),
    ]
}

prop_compose! {
    fn any_row()(
        (metric, verdict, missing) in (any_name(), any_name(), any_name()),
        better in any_direction(), scale in any_scale(), bound in prop::option::of(any_number()),
        estimate in prop::option::of(any_number()), interval in any_interval(), tone in any_tone(),
    ) -> ForestRow {
        ForestRow { metric, better, scale, bound, estimate, interval, verdict, tone, missing }
    }
}

prop_compose! {
    fn any_trajectory()(
        (title, subtitle, verdict) in (any_name(), any_name(), any_name()),
        better in any_direction(), scale in any_scale(), bound in prop::option::of(any_number()),
        nights in prop::collection::vec((any_date(), prop::option::of(any_number()), any_interval(), any_number()), 0..40),
        crossing in prop::option::of((any_date(), any_tone())),
    ) -> Trajectory {
        let nights = nights.into_iter().map(|(date, estimate, interval, share)| Night { date, estimate, interval, share });
        let crossing = crossing.map(|(date, tone)| Crossing { date, verdict, tone });
        Trajectory { title, subtitle, better, scale, bound, nights: nights.collect(), crossing }
    }
}

prop_compose! {
    fn any_ramp()(
        (title, subtitle) in (any_name(), any_name()),
        nights in prop::collection::vec((any_date(), prop_oneof![0.0..1.0f64, any_number()], 0..6usize, any::<bool>()), 0..60),
    ) -> Ramp {
        let acts = [Some(Act::Ramp), Some(Act::Hold), Some(Act::Promote), Some(Act::Rollback), Some(Act::Set), None];
        let by = |hand| if hand { DecidedBy::Hand } else { DecidedBy::Job };
        let night = |(date, share, act, hand)| RampNight { date, share, act: acts[act], by: by(hand) };
        Ramp { title, subtitle, nights: nights.into_iter().map(night).collect() }
    }
}

prop_compose! {
    fn any_split()(
        (title, subtitle) in (any_name(), any_name()),
        rows in prop::collection::vec((any_name(), any_number(), any::<u64>(), 0..5000u64), 0..20),
        log_e in any_number(), threshold in any_number(), mismatch in any::<bool>(),
    ) -> Split {
        let row = |(label, planned, candidate_units, control_units)| SplitRow { label, planned, candidate_units, control_units };
        Split { title, subtitle, rows: rows.into_iter().map(row).collect(), log_e, threshold, mismatch }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn hostile_forests_are_drawn_and_stay_tidy(
        rows in prop::collection::vec(any_row(), 0..20), title in any_name(), subtitle in any_name(),
    ) {
        let forest = Forest { title, subtitle, rows };
        check_layout(forest.compose());
        let picture = forest.draw().unwrap();
        prop_assert!(!picture.alt.chars().any(char::is_control));
    }

    #[test]
    fn hostile_trajectories_are_drawn_and_stay_tidy(trajectory in any_trajectory()) {
        check_layout(trajectory.compose());
        let picture = trajectory.draw().unwrap();
        prop_assert!(!picture.alt.chars().any(char::is_control));
    }

    #[test]
    fn hostile_ramps_are_drawn_and_stay_tidy(ramp in any_ramp()) {
        check_layout(ramp.compose());
        let picture = ramp.draw().unwrap();
        prop_assert!(!picture.alt.chars().any(char::is_control));
    }

    #[test]
    fn hostile_splits_are_drawn_and_stay_tidy(split in any_split()) {
        check_layout(split.compose());
        let picture = split.draw().unwrap();
        prop_assert!(!picture.alt.chars().any(char::is_control));
    }
}
