//! Eight runs of the same night at once: one decides, the others are turned away, and what is left behind is what one run
//! leaves behind. The mail server answers late, so that the first still holds its lease when the last has started.

use std::process::Stdio;

use tokio::process::Child;

use crate::crash::embedded_site::{EmbeddedSite, Eve};
use crate::crash::eve;
use crate::crash::server_site::ServerSite;
use crate::crash::trial::{Site, left_behind, undisturbed};
use crate::embedded::{Told, told};
use crate::support::smtp::Rules;

const RUNS: usize = 8;

/// How long the mail server takes for a mail, in seconds: longer than it takes to start all runs.
const HELD: u32 = 15;

async fn one_of_eight_decides(site: &impl Site) {
    let wanted = undisturbed(site).await;
    site.restore().await;
    let start = |_| -> Child {
        let mut night = site.night(eve::next_run(0));
        night.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let runs: Vec<Child> = (0..RUNS).map(start).collect();
    let mut decided = 0;
    for run in runs {
        let told = Told::from(run.wait_with_output().await.expect("a run that ends"));
        if told.code == Some(75) {
            told.complains("another run holds the lease: ");
        } else {
            decided += 1;
            told.expect(0);
        }
    }
    assert_eq!(decided, 1, "all but one are turned away");
    site.late_units().await;
    told(site.night(eve::settled_run(1))).await.expect(0);
    let (twice, found) = left_behind(site).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(twice, 0);
    assert_eq!(wanted.differs_from(&found), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_runs_over_sqlite_one_decides() {
    let eve = Eve::new().await;
    one_of_eight_decides(&EmbeddedSite::with(&eve, Rules { slow: HELD, ..Rules::default() }).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_runs_over_postgresql_one_decides() {
    one_of_eight_decides(&ServerSite::with("held", Rules { slow: HELD, ..Rules::default() }).await).await;
}
