//! The same lake in a folder and in a bucket: not one bit is different.

use rampkeeper::domain::ExposedBy;
use rampkeeper::warehouse::{Examine, Exceeding, LakeWarehouse, Warehouse};

use jiff::ToSpan;

use super::world::{EXPERIMENTS, FIRST, World};
use super::{load, metrics};
use crate::support::s3::S3;

#[tokio::test]
async fn a_lake_in_a_bucket_has_the_same_moments_to_the_bit() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    load::happen_lake(dir.path(), &world.events, "part");
    load::assign_lake(dir.path(), &world.assignments, "part");
    let s3 = S3::shared().await;
    let bucket = s3.bucket("conformance").await;
    s3.put(&bucket, dir.path(), "lake").await;
    let here = LakeWarehouse::open(dir.path().to_owned()).unwrap();
    let there = LakeWarehouse::in_bucket(s3.settings(&bucket, s3.port), "date").await.unwrap();
    assert_eq!(there.describe(), format!("Parquet lake s3://{bucket}/lake"));

    for (window, exposed_by) in [(1, ExposedBy::Assignment), (2, ExposedBy::Assignment), (1, ExposedBy::Event)] {
        let metrics = metrics(window);
        let requests: Vec<_> = (0..EXPERIMENTS).map(|number| world.request(number, &metrics, exposed_by)).collect();
        let (expected, told) = (here.collect_many(&requests).await, there.collect_many(&requests).await);
        for (expected, told) in expected.into_iter().zip(told) {
            let (expected, told) = (expected.unwrap(), told.unwrap());
            assert_eq!(expected.health.height(), 8);
            assert!(told.moments.equals_missing(&expected.moments), "{:?}\n{:?}", told.moments, expected.moments);
            assert!(told.health.equals_missing(&expected.health), "{:?}\n{:?}", told.health, expected.health);
        }
    }

    let late = FIRST.checked_add(60.days()).unwrap();
    for date in [FIRST, FIRST.checked_add(3.days()).unwrap(), late] {
        assert_eq!(there.partition(date).await.unwrap(), here.partition(date).await.unwrap());
        let content = there.content(date, &[]).await.unwrap();
        assert_eq!(content.is_some(), date != late);
        assert_eq!(content, here.content(date, &[]).await.unwrap());
    }
    assert_eq!(there.newest(late).await.unwrap(), here.newest(late).await.unwrap());
    assert!(there.faults(late).await.unwrap().is_empty());
    let field = "latency_ms".parse().unwrap();
    let to = FIRST.checked_add(2.days()).unwrap();
    let asked = Exceeding { event: "plan_generated", field: &field, from: FIRST, to, edges: &[10.0, 1_000.0, 2_000.0] };
    let expected = here.exceed(&asked).await.unwrap();
    assert!(expected.numbers > 1_000);
    assert_eq!(there.exceed(&asked).await.unwrap(), expected);
    for metric in metrics(1) {
        let samples = |samples: Vec<rampkeeper::warehouse::Sample>| format!("{samples:?}");
        let expected = samples(here.rehearse(&metric, FIRST).await.unwrap());
        assert_eq!(samples(there.rehearse(&metric, FIRST).await.unwrap()), expected);
    }
}
