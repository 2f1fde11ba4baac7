//! Applying what was decided, in a world that is not to be trusted: values that others have set, servers that hang, runs
//! that are stopped, and moves that are taken back.

mod outside;
mod registry;
mod stopping;
mod undo;

use std::sync::{Arc, Mutex};

use jiff::civil::Date;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::embedded::{World, day, harmful};

/// A server that takes every connection and never says a word.
struct Hanging {
    port: u16,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Hanging {
    async fn start() -> Hanging {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                kept.lock().unwrap().push(connection);
            }
        });
        Hanging { port, connections }
    }

    /// How often somebody came.
    fn visits(&self) -> usize {
        self.connections.lock().unwrap().len()
    }
}

/// A harmful candidate after two days, on the eve of its rollback, with a hundred units of its own.
async fn on_the_eve_of_a_rollback() -> World {
    let mut world = World::new(vec![harmful("costly")]).await;
    for n in 0..2 {
        world.live(day(n)).await;
    }
    world
}

/// Gives an arm units in the experiment tables, named after `name`.
async fn assign(world: &World, arm: &str, name: &str, units: u32) {
    let (experiment, variant) = (crate::embedded::key("costly"), crate::embedded::key(&format!("costly {arm}")));
    world
        .sql(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {units})
             INSERT INTO exp_assignments
             SELECT '{experiment}', 'user', '{name}' || i, '{variant}', '2026-03-02T10:00:00.000000Z' FROM n"
        ))
        .await;
}

/// How many units an arm has.
async fn units_on(world: &World, arm: &str) -> i64 {
    let variant = crate::embedded::key(&format!("costly {arm}"));
    world.count(&format!("SELECT count(*) FROM exp_assignments WHERE variant_id = '{variant}'")).await
}

/// What each incident of a report is about, with what was found.
fn incidents(report: &Value) -> Vec<(&str, &str)> {
    let incidents = report["incidents"].as_array().expect("incidents");
    incidents.iter().map(|i| (i["what"].as_str().unwrap(), i["found"].as_str().unwrap())).collect()
}

/// Runs the night after a day; gives its JSON and its exit code.
async fn night(world: &World, day: Date) -> (Value, Option<i32>) {
    let mut command = world.nightly("run", day);
    command.args(["--output", "json"]);
    let told = crate::embedded::told(command).await;
    (told.json(), told.code)
}
