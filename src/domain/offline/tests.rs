use proptest::prelude::*;

use super::*;

const BASE: Uuid = Uuid::from_u128(1);
const NEW: Uuid = Uuid::from_u128(2);

fn score(text: &str) -> Score {
    text.parse().unwrap()
}

fn scores(values: [&str; 5]) -> Scores {
    let [constraint_respect, plan_alignment, edit_distance, diversity, leftovers] =
        values.map(|text| (!text.is_empty()).then(|| score(text)));
    Scores { constraint_respect, plan_alignment, edit_distance, diversity, leftovers }
}

fn result(of: Uuid, at: u8, values: [&str; 5]) -> OfflineResult {
    OfflineResult {
        id: Uuid::from_u128(u128::from(at)),
        policy_version: of,
        dataset: "2026-03".into(),
        status: OfflineStatus::Completed,
        scores: scores(values),
        baseline: (of == NEW).then_some(BASE),
        is_better: None,
        error: None,
        created_at: format!("2026-03-{at:02}T00:00:00Z").parse().unwrap(),
    }
}

const BASELINE: [&str; 5] = ["1", "0.8", "0.7", "0.6", "0.5"];

fn judged(candidate: [&str; 5]) -> Judgement {
    judge_offline(NEW, &[result(BASE, 1, BASELINE), result(NEW, 2, candidate)], &Criteria::default())
}

fn words(results: &[OfflineResult]) -> String {
    judge_offline(NEW, results, &Criteria::default()).to_string()
}

#[test]
fn all_of_the_criteria_must_be_met() {
    // Diversity and leftovers may be 95 % of the baseline's, and not a millionth less.
    assert!(judged(["1", "0.8", "0.7", "0.57", "0.475"]).is_pass());
    assert_eq!(judged(["1", "0.8", "0.7", "0.57", "0.475"]).is_better(), Some(true));
    let missed = |values, told: &str| {
        let judgement = judged(values);
        assert_eq!((judgement.verdict.word(), judgement.is_better()), ("failed", Some(false)));
        assert!(judgement.to_string().contains(told), "{judgement}");
    };
    missed(["0.999999", "0.8", "0.7", "0.6", "0.5"], "constraint_respect 0.999999 misses 1 by 0.000001");
    missed(["1", "0.79", "0.7", "0.6", "0.5"], "plan_alignment 0.79 misses the baseline's 0.8 by 0.01");
    missed(["1", "0.8", "0.65", "0.6", "0.5"], "edit_distance 0.65 misses the baseline's 0.7 by 0.05");
    missed(
        ["1", "0.8", "0.7", "0.569999", "0.5"],
        "diversity 0.569999 misses 0.57, which is 95 % of the baseline's 0.6 by 0.000001",
    );
    missed(
        ["1", "0.8", "0.7", "0.6", "0.4"],
        "leftovers 0.4 misses 0.475, which is 95 % of the baseline's 0.5 by 0.075",
    );
    // Those that are met are not told of a fail.
    assert_eq!(judged(["1", "0.79", "0.7", "0.6", "0.4"]).to_string().matches("misses").count(), 2);
}

#[test]
fn whatever_is_not_there_is_no_pass() {
    let base = result(BASE, 1, BASELINE);
    let new = result(NEW, 2, BASELINE);
    let with = |change: &dyn Fn(&mut OfflineResult)| {
        let mut new = new.clone();
        change(&mut new);
        words(&[base.clone(), new])
    };
    let against = |change: &dyn Fn(&mut OfflineResult)| {
        let mut base = base.clone();
        change(&mut base);
        words(&[base, new.clone()])
    };
    let told = [
        (words(std::slice::from_ref(&base)), "no pass: it has no offline result"),
        (
            with(&|r| r.status = OfflineStatus::Running),
            "no pass: its offline evaluation on dataset 2026-03 is still running",
        ),
        (
            with(&|r| (r.status, r.error) = (OfflineStatus::Failed, Some("out of memory".into()))),
            "no pass: its offline evaluation on dataset 2026-03 failed (out of memory)",
        ),
        (with(&|r| r.scores.diversity = None), "no pass: its offline result lacks diversity_score"),
        (with(&|r| r.baseline = None), "no pass: its offline result names no baseline"),
        (with(&|r| r.baseline = Some(NEW)), "no pass: its offline result names itself"),
        (
            with(&|r| r.scores.constraint_respect = Some(score("1.2"))),
            "constraint_respect_score is 1.2, which cannot be",
        ),
        (with(&|r| r.dataset = "2026-04".into()), "evaluated on dataset 2026-04, and its baseline on 2026-03"),
        (
            words(std::slice::from_ref(&new)),
            "no pass: its baseline has no offline result; evaluate that on dataset 2026-03",
        ),
        (
            against(&|r| r.status = OfflineStatus::Running),
            "no pass: its baseline's evaluation on dataset 2026-03 is still",
        ),
        (
            against(&|r| r.status = OfflineStatus::Failed),
            "no pass: its baseline's evaluation on dataset 2026-03 failed",
        ),
        (against(&|r| r.scores.leftovers = None), "no pass: its baseline's offline result lacks leftovers_score"),
    ];
    for (said, expected) in told {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    assert_eq!(judge_offline(NEW, &[base], &Criteria::default()).is_better(), None);
}

#[test]
fn the_latest_result_counts() {
    let good = result(NEW, 2, BASELINE);
    let bad = result(NEW, 3, ["0.5", "0.8", "0.7", "0.6", "0.5"]);
    assert!(words(&[result(BASE, 1, BASELINE), good.clone(), bad.clone()]).starts_with("failed"));
    let again = result(NEW, 4, BASELINE);
    assert!(words(&[result(BASE, 1, BASELINE), good.clone(), bad, again]).starts_with("passed"));
    // An evaluation that is at work takes the pass away until it is done.
    let running = OfflineResult { status: OfflineStatus::Running, ..result(NEW, 5, [""; 5]) };
    assert!(words(&[result(BASE, 1, BASELINE), good, running]).starts_with("no pass"));
}

#[test]
fn scores_are_exact() {
    assert_eq!(score("0.1").part(score("0.95")), score("0.095"));
    assert_eq!(score("0.333333").part(score("0.95")), score("0.316667"));
    assert!(score("0.316667").reaches(score("0.95"), score("0.333333")));
    assert!(!score("0.316666").reaches(score("0.95"), score("0.333333")));
    assert_eq!(score("-0.25").to_string(), "-0.25");
    assert!("x".parse::<Score>().is_err() && "inf".parse::<Score>().is_err());
}

proptest! {
    #[test]
    fn what_a_part_asks_for_is_the_least_that_reaches_it(of in -2_000_000i64..2_000_000, part in 0i64..1_500_000) {
        let (of, part) = (Score::from_millionths(of), Score::from_millionths(part));
        let needed = of.part(part);
        prop_assert!(needed.reaches(part, of));
        let less = Score::from_millionths((needed.as_f64() * 1e6).round() as i64 - 1);
        prop_assert!(!less.reaches(part, of), "{less} reaches {part} of {of}");
    }
}
