//! A control store that crashes, hangs up, refuses to write, or is none.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rampkeeper::demo::{Scenario, Shares, Traffic};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, PgPool};
use tokio::process::Child;

use crate::bad_input::{creation, on_postgres, on_the_eve_of_a_rollback, shares_of, store};
use crate::embedded::{Told, World, better, day, harmful, outcome, told};
use crate::support::postgres::Postgres;

/// A database on the eve of a night that rolls `costly` back and ramps `steady`, in this order.
pub struct Eve<'a> {
    pub world: World,
    pub postgres: &'a Postgres,
    pub url: String,
}

impl<'a> Eve<'a> {
    pub async fn new(postgres: &'a Postgres, name: &str) -> Eve<'a> {
        Eve::of(postgres, name, vec![harmful("costly"), better("steady")]).await
    }

    pub async fn of(postgres: &'a Postgres, name: &str, scenarios: Vec<Scenario>) -> Eve<'a> {
        let url = postgres.database(name).await;
        let world = on_postgres(&url, scenarios.clone());
        world.run(&["migrate"]).await.expect(0);
        for scenario in &scenarios {
            postgres.sql(&url, &creation(scenario)).await;
        }
        let pool = PgPool::connect(&url).await.unwrap();
        let shares: Vec<Shares> = scenarios.iter().map(shares_of).collect();
        let mut traffic = Traffic::new(scenarios, 7);
        for n in 0..2 {
            store(&pool, &traffic.day(day(n), &shares)).await;
        }
        pool.close().await;
        Eve { world, postgres, url }
    }

    pub async fn sql(&self, statements: &str) -> String {
        self.postgres.sql(&self.url, statements).await
    }

    /// Starts the night and waits until one of its statements waits like that.
    pub async fn night_that_waits(&self, wait_event: &str) -> Child {
        let mut night = self.world.nightly("run", day(1));
        let mut child = night.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waiting = format!(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event = '{wait_event}'"
        );
        let began = Instant::now();
        while self.sql(&waiting).await != "1" {
            assert!(child.try_wait().unwrap().is_none(), "the night ended before it waited");
            assert!(began.elapsed() < Duration::from_secs(60), "the night never waits for {wait_event}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        child
    }

    /// Lets the night wait within the transaction that decides about `steady`.
    async fn hold_in_the_second_transaction(&self) {
        self.sql(
            "create function public.hold() returns trigger language plpgsql as $$ begin
                 if new.experiment_id = (select id from exp.experiments where name = 'steady') then
                     perform pg_sleep(120);
                 end if;
                 return new;
             end $$;
             create trigger hold before insert on rampkeeper.decisions for each row execute function public.hold();",
        )
        .await;
    }

    /// The shares of the candidates of `costly` and `steady`, and the number of decisions.
    async fn shares_and_decisions(&self) -> String {
        self.sql(
            "select string_agg(v.allocation::text, ' ' order by e.name)
                    || ', ' || (select count(*) from rampkeeper.decisions)
             from exp.variants v join exp.experiments e on e.id = v.experiment_id where v.name = 'candidate'",
        )
        .await
    }

    /// Whatever broke the night off: once it is gone, the next run ends it, and readers hear of both.
    async fn is_mended(&self, now: &str) {
        let night = self.world.command(&["run", "--as-of", "2026-03-03", "--now", now]);
        told(night).await.expect(0);
        assert_eq!(self.shares_and_decisions().await, "0.0000 0.2500, 2");
        let open = "select count(*) from rampkeeper.actions where status <> 'done' and not_before is null";
        assert_eq!(self.sql(open).await, "0");
        let mails = self.world.mails();
        for words in ["ROLLED BACK  candidate", "RAMPED  candidate"] {
            assert_eq!(mails.iter().filter(|mail| mail.contains(words)).count(), 1, "{words}: {mails:?}");
        }
        assert_eq!(self.sql("select count(*) from rampkeeper.leases").await, "0");
    }
}

async fn end(child: Child) -> Told {
    let patience = Duration::from_secs(90);
    tokio::time::timeout(patience, child.wait_with_output()).await.expect("the night ends").unwrap().into()
}

#[tokio::test]
async fn a_server_that_crashes_in_a_transaction_leaves_half_of_nothing() {
    let safe = [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];
    let postgres = Postgres::start(&safe).await;
    let eve = Eve::new(&postgres, "crashes").await;
    eve.hold_in_the_second_transaction().await;
    let night = eve.night_that_waits("PgSleep").await;
    postgres.crash().await;
    postgres.start_again().await;
    let told = end(night).await.expect(1);
    told.complains("could not record the decisions about steady");
    // What was committed before the crash stands, and of the rest there is nothing.
    assert_eq!(eve.shares_and_decisions().await, "0.0000 0.1000, 1");
    eve.sql("drop trigger hold on rampkeeper.decisions").await;
    eve.is_mended("2026-03-04T02:06:00Z").await;
}

#[tokio::test]
async fn a_connection_that_is_dropped_ends_the_night_and_the_next_mends_it() {
    let eve = Eve::new(Postgres::shared().await, "dropped").await;
    eve.hold_in_the_second_transaction().await;
    let night = eve.night_that_waits("PgSleep").await;
    eve.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'
             and datname = current_database()",
    )
    .await;
    let told = end(night).await.expect(1);
    told.complains("could not record the decisions about steady").complains("terminating connection");
    assert_eq!(eve.shares_and_decisions().await, "0.0000 0.1000, 1");
    eve.sql("drop trigger hold on rampkeeper.decisions").await;
    // The lease was given back, so nobody has to wait for its end.
    eve.is_mended("2026-03-04T02:00:01Z").await;
}

#[tokio::test]
async fn a_serialization_failure_ends_the_night_and_the_next_mends_it() {
    let eve = Eve::new(Postgres::shared().await, "serialization").await;
    eve.sql(
        "create sequence public.tried;
         create function public.fail_once() returns trigger language plpgsql as $$ begin
             if new.experiment_id = (select id from exp.experiments where name = 'steady')
                and nextval('public.tried') = 1 then
                 raise exception 'could not serialize access due to concurrent update' using errcode = '40001';
             end if;
             return new;
         end $$;
         create trigger fail_once before insert on rampkeeper.decisions
         for each row execute function public.fail_once();",
    )
    .await;
    let told = told(eve.world.nightly("run", day(1))).await.expect(1);
    told.complains("could not record the decisions about steady").complains("could not serialize access");
    assert_eq!(eve.shares_and_decisions().await, "0.0000 0.1000, 1");
    eve.is_mended("2026-03-04T02:00:01Z").await;
}

#[tokio::test]
async fn a_store_that_takes_no_writes_is_told_so() {
    let eve = Eve::new(Postgres::shared().await, "read_only").await;
    let database = eve.url.rsplit('/').next().unwrap().to_owned();
    eve.sql(&format!("alter database \"{database}\" set default_transaction_read_only = on")).await;
    // A plan writes nothing, so it is none the wiser.
    let plan = told(eve.world.nightly("plan", day(1))).await.expect(0);
    assert!(plan.out.contains("1 rolled back, 1 ramped"), "{}", plan.out);
    let run = told(eve.world.nightly("run", day(1))).await.expect(1);
    run.complains("could not take the lease").complains("in a read-only transaction");
    assert_eq!(eve.shares_and_decisions().await, "0.1000 0.1000, 0");
    assert!(eve.world.mails().is_empty());
    let reset = format!(
        "set default_transaction_read_only = off; alter database \"{database}\" reset default_transaction_read_only"
    );
    eve.sql(&reset).await;
    eve.is_mended("2026-03-04T02:00:00Z").await;
}

// ---------------------------------------------------------------------------------------------------------------------
// SQLite

/// As slow as the program is patient: ten seconds.
#[tokio::test]
async fn a_locked_file_is_waited_for_within_bounds() {
    let world = on_the_eve_of_a_rollback().await;
    let options = SqliteConnectOptions::new().filename(world.path("control.db"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let refused = told(world.nightly("run", day(1))).await.expect(1);
    refused.complains("could not take the lease").complains("database is locked");

    let night = world.night(day(1), 0);
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let (report, ()) = tokio::join!(night, release);
    assert_eq!(outcome(&report, "steady"), "rollback");
    assert_eq!(world.mails().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_so() {
    let world = on_the_eve_of_a_rollback().await;
    let text = "This is a letter, and it is long enough to be taken for the header of a database.\n".repeat(9);
    world.write("control.db", &text);
    for command in ["plan", "run"] {
        let told = told(world.nightly(command, day(1))).await.expect(1);
        told.complains("could not connect to the control store").complains("file is not a database");
    }
    assert_eq!(std::fs::read_to_string(world.path("control.db")).unwrap(), text, "it is left as it is");
    assert!(world.mails().is_empty());
}
