//! More experiments than one night writes pages of.

use std::collections::BTreeSet;
use std::fs;

use rampkeeper::control::ControlStore;
use rampkeeper::night::{Extent, write_site};

use super::{links, write};
use crate::embedded::{World, better, day, harmful};

/// The nights write no pages themselves; one candidate is rolled back on the second, the others wait.
async fn world() -> World {
    let names = ["a", "b", "c", "d"].into_iter().map(better);
    let mut world = World::new(names.chain([harmful("costly")]).collect()).await;
    world.settings.as_object_mut().unwrap().remove("reports");
    world.configure();
    world
        .run(&["hold", "--all", "--by", "ana", "--reason", "a launch", "--now", "2026-03-02T01:00:00Z"])
        .await
        .expect(0);
    for n in 0..2 {
        world.live(day(n)).await;
        world.night(day(n), 0).await;
    }
    world
}

/// Brings the site up to date by so many experiments' pages, and gives how many stayed behind.
async fn some(world: &World, control: &ControlStore, pages: usize, nights: u32) -> usize {
    let extent = Extent { nights, pages: Some(pages) };
    let written = write_site(control, &world.path("site"), extent, &|_, _| ()).await.unwrap();
    let faults = links::faults(&world.path("site"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let front = fs::read_to_string(world.path("site/index.html")).unwrap();
    assert_eq!(front.contains("or not there yet"), written.behind > 0, "{front}");
    written.behind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_writes_so_many_pages_those_first_that_tell_something_and_later_ones_the_rest() {
    let mut world = world().await;
    let control =
        ControlStore::connect(&format!("sqlite:{}", world.path("control.db").display()).into()).await.unwrap();
    let there = |world: &World| -> BTreeSet<String> {
        let files = links::files(&world.path("site")).into_keys();
        files.filter(|name| name.starts_with("experiments/") && name.ends_with(".html")).collect()
    };
    assert_eq!(some(&world, &control, 2, 90).await, 3);
    assert!(there(&world).len() == 2 && there(&world).contains("experiments/costly.html"), "{:?}", there(&world));
    // The page of the night links to those that are there, and is written anew when there are more.
    assert_eq!(some(&world, &control, 2, 90).await, 1);
    assert_eq!(some(&world, &control, 2, 90).await, 0);
    assert_eq!(there(&world).len(), 5);
    let all = async |world: &World, folder: &str| {
        write(world, folder, &[]).await.expect(0);
        links::files(&world.path(folder))
    };
    assert_eq!(links::files(&world.path("site")), all(&world, "one").await);

    world.live(day(2)).await;
    world.night(day(2), 0).await;
    let behind = |world: &World| {
        let page = |name: &String| fs::read_to_string(world.path("site").join(name)).unwrap();
        there(world).iter().filter(|name| page(name).contains("as of the night of Tue 3 Mar 2026")).count()
    };
    // Costly is over, and was not judged.
    for left in [3, 2, 1, 0] {
        assert_eq!(some(&world, &control, 1, 90).await, left);
        assert_eq!(behind(&world), left + 1, "those that stayed behind longest come first");
    }
    assert_eq!(links::files(&world.path("site")), all(&world, "two").await);

    // A night that is not shown any more stays as long as a page that stayed behind links to it.
    world.live(day(3)).await;
    world.night(day(3), 0).await;
    for left in [3, 1, 0] {
        assert_eq!(some(&world, &control, 2, 2).await, left);
        assert_eq!(world.path("site/nights/2026-03-02.html").exists(), left > 0);
    }
    write(&world, "three", &["--nights", "2"]).await.expect(0);
    assert_eq!(links::files(&world.path("site")), links::files(&world.path("three")));
}
