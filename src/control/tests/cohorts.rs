//! Cohorts that have closed: kept as they were read, and restated by further revisions.

use jiff::civil::date;
use serde_json::json;

use super::super::ControlError;
use super::{CANDIDATE, CONTROL, Store, experiment, now, variant};
use crate::domain::{Direction, Measure, Metric, MetricForm, Value};
use crate::evidence::{ByMetric, Cohort, CohortHealth, MetricSet};
use crate::stats::Moments;

#[tokio::test]
async fn closed_cohorts_stay_as_they_were_read() {
    let store = Store::new().await;
    let set = MetricSet { window_days: 1, covariate_days: None, metrics: vec![], digest: "d".into() };
    let cohort = |mean| Cohort {
        date: date(2026, 3, 2),
        epoch: 0,
        variant: variant(CANDIDATE),
        moments: ByMetric::from([("m".to_owned(), Moments::of_units(10, mean, 0.1 + 0.2))]),
        health: CohortHealth { units: 10, ..CohortHealth::default() },
    };
    let save = |mean, through| {
        let cohorts = vec![cohort(mean)];
        let (control, set) = (store.control.clone(), set.clone());
        async move { control.save_cohorts(experiment(), &set, &cohorts, through, now()).await.unwrap() }
    };
    save(1.0 / 3.0, date(2026, 3, 3)).await;
    save(0.5, date(2026, 3, 2)).await;
    assert_eq!(store.control.load_cohorts(experiment(), &set).await.unwrap(), [cohort(1.0 / 3.0)]);
    assert_eq!(store.control.load_all_progress().await.unwrap()[&experiment()]["d"], date(2026, 3, 3));
}

#[tokio::test]
async fn packed_cohorts_come_back_to_the_bit_and_the_last_revision_counts() {
    let store = Store::new().await;
    let metric = |name: &str| Metric {
        name: name.to_owned(),
        description: None,
        form: MetricForm::Mean { value: Measure::of_event("e", Value::Count) },
        direction: Direction::Increase,
        window_days: 1,
        covariate_days: None,
    };
    let metrics = ["a", "b"].map(metric);
    let set = MetricSet::group(&metrics).remove(0);
    let cohort = |day, arm, n, mean: f64| Cohort {
        date: date(2026, 3, day),
        epoch: 2,
        variant: variant(arm),
        // Bytes of all kinds, zeros and line feeds among them.
        moments: ByMetric::from([
            ("a".to_owned(), Moments::of_units(n, mean, 1e-300)),
            (
                "b".to_owned(),
                Moments { mean_d: f64::from_bits(0x0a00_3b20_00ff_fe80), ..Moments::of_units(n, 0.0, mean) },
            ),
        ]),
        health: CohortHealth { units: n, multiple_exposed: 3, ..CohortHealth::default() },
    };
    let mut cohorts: Vec<Cohort> =
        [(3, CONTROL), (3, CANDIDATE), (2, CANDIDATE)].map(|(day, arm)| cohort(day, arm, 10, 1.0 / 3.0)).into();
    let load = || async { store.control.load_checked_cohorts(experiment(), &set).await.unwrap() };
    assert_eq!(load().await, []);
    store.control.save_cohorts(experiment(), &set, &cohorts, date(2026, 3, 3), now()).await.unwrap();
    cohorts.sort_by_key(|cohort| (cohort.date, cohort.variant));
    let checked = |cohorts: &[Cohort]| cohorts.iter().cloned().map(Cohort::checked).collect::<Vec<_>>();
    assert_eq!(load().await, checked(&cohorts));
    cohorts[1] = cohort(3, CONTROL, 256, 0.1 + 0.2);
    store.control.restate_cohorts(experiment(), &set, &cohorts[1..2], now()).await.unwrap();
    assert_eq!(load().await, checked(&cohorts));
    // One that is kept as JSON is read with the others.
    let json = json!(cohorts[0].moments);
    let of_old =
        format!("UPDATE rampkeeper_cohorts SET packed = NULL, moments = '{json}' WHERE cohort_date = '2026-03-02'");
    store.execute(&of_old).await;
    assert_eq!(load().await, checked(&cohorts));
    store.execute("UPDATE rampkeeper_cohorts SET packed = x'01' WHERE revision = 1").await;
    let told = store.control.load_checked_cohorts(experiment(), &set).await.unwrap_err();
    assert!(matches!(&told, ControlError::Row { column: "packed", .. }), "{told}");
}
