//! `metabase push` against a stand-in for Metabase, which is itself held to what Metabase's own client takes for an answer.

use serde_json::{Value, json};

use super::files::tool;
use crate::embedded::{Told, program, told};
use crate::support::metabase::{KEY, Metabase};

async fn push(metabase: &Metabase, arguments: &[&str]) -> Told {
    let mut command = program(&[&["metabase", "push"], arguments].concat());
    command.env("METABASE_URL", metabase.url()).env("METABASE_API_KEY", KEY);
    let said = told(command).await;
    assert!(!format!("{said:?}").contains(KEY), "the key is told: {said:?}");
    said
}

async fn pushed(metabase: &Metabase, arguments: &[&str]) -> Value {
    push(metabase, &[arguments, &["--output", "json"]].concat()).await.expect(0).json()["push"].clone()
}

fn deeds(outcome: &Value) -> Vec<String> {
    let changes = outcome["changes"].as_array().unwrap().iter();
    changes.map(|c| format!("{} {} {}", c["deed"].as_str().unwrap(), c["kind"].as_str().unwrap(), c["name"])).collect()
}

#[tokio::test]
async fn a_first_push_makes_everything_and_a_second_changes_nothing() {
    // Queries as older versions tell them, and as newer ones do.
    for stages in [false, true] {
        let metabase = Metabase::start(stages).await;
        let dry = pushed(&metabase, &["--dry-run"]).await;
        assert_eq!(metabase.changes(), Vec::<String>::new(), "a dry run changes nothing");
        let first = pushed(&metabase, &[]).await;
        assert_eq!(dry["changes"], first["changes"], "and says what a push does");
        assert_eq!(first["changes"].as_array().unwrap().len(), 1 + 19 + 3);
        assert_eq!((metabase.cards().len(), metabase.dashboards().len()), (19, 3));
        assert!(!metabase.changes().is_empty());

        let second = pushed(&metabase, &[]).await;
        assert_eq!(metabase.changes(), Vec::<String>::new(), "a second push sends no change");
        assert_eq!((second["changes"].clone(), second["unchanged"].clone()), (json!([]), json!(23)));

        for dashboard in metabase.dashboards() {
            for dashcard in dashboard["dashcards"].as_array().unwrap() {
                let shown = metabase.cards().into_iter().find(|card| card["id"] == dashcard["card_id"]);
                let tags = shown.unwrap()["dataset_query"]["native"]["template-tags"].clone();
                for mapping in dashcard["parameter_mappings"].as_array().unwrap() {
                    assert_eq!(mapping["card_id"], dashcard["card_id"]);
                    assert!(tags.get(mapping["target"][1][1].as_str().unwrap()).is_some(), "{mapping}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_somebody_changed_is_mended_and_what_is_somebody_elses_stays() {
    let metabase = Metabase::start(true).await;
    pushed(&metabase, &[]).await;
    let theirs = metabase.make_card("Revenue", None);
    metabase.make_card("Shares (copy)", Some("Shares"));
    metabase.with_card("Nights", |card| card["dataset_query"]["native"]["query"] = json!("SELECT 1"));
    metabase.with_card("Last look", |card| card["archived"] = json!(true));
    metabase.with_card("Units in the evidence", |card| card["visualization_settings"] = json!({}));
    metabase.with_dashboard("Rampkeeper: overview", |dashboard| {
        let dashcards = dashboard["dashcards"].as_array_mut().unwrap();
        dashcards.remove(0);
        dashcards[0]["row"] = json!(77);
        dashcards.push(json!({ "id": 9001, "card_id": theirs, "row": 90, "col": 0, "size_x": 4, "size_y": 4 }));
        dashcards.push(json!({ "id": 9002, "card_id": null, "row": 95, "col": 0, "size_x": 24, "size_y": 1,
            "visualization_settings": { "text": "Ask Dana" } }));
        dashboard["tabs"] = json!([{ "id": 5, "name": "Main" }]);
    });
    metabase.changes();

    let mended = pushed(&metabase, &[]).await;
    assert_eq!(
        deeds(&mended),
        [
            "change question \"Last look\"",
            "change question \"Nights\"",
            "change question \"Units in the evidence\"",
            "change dashboard \"Rampkeeper: overview\"",
        ]
    );
    assert_eq!(mended["changes"][1]["what"], json!(["query"]));
    let left = mended["left_alone"][0].as_str().unwrap();
    assert!(left.starts_with("Shares (copy) (") && left.contains("a copy, which stays"), "{left}");
    let names: Vec<Value> = metabase.cards().iter().map(|card| card["name"].clone()).collect();
    assert!(names.contains(&json!("Revenue")) && names.contains(&json!("Shares (copy)")));
    let overview = metabase.dashboards().into_iter().find(|d| d["name"] == "Rampkeeper: overview").unwrap();
    let dashcards = overview["dashcards"].as_array().unwrap();
    assert!(dashcards.iter().any(|d| d["id"] == 9001 && d["card_id"] == theirs && d["row"] == 90));
    assert!(dashcards.iter().any(|d| d["id"] == 9002 && d["visualization_settings"]["text"] == "Ask Dana"));
    assert_eq!((dashcards.len(), &overview["tabs"]), (9, &json!([{ "id": 5, "name": "Main" }])));

    metabase.changes();
    let again = pushed(&metabase, &[]).await;
    assert_eq!((again["changes"].clone(), metabase.changes()), (json!([]), vec![]));
}

#[tokio::test]
async fn what_is_ours_and_gone_from_the_files_is_archived_and_nothing_is_deleted() {
    let metabase = Metabase::start(false).await;
    pushed(&metabase, &[]).await;
    let mark = "Kept by `rampkeeper metabase push`: ";
    metabase.make_card("Of an older version", Some("Shares"));
    metabase.with_card("Of an older version", |card| {
        card["description"] = json!(format!("Old.\n\n{mark}{}", "x".repeat(21)))
    });
    metabase.changes();
    let outcome = pushed(&metabase, &[]).await;
    assert_eq!(deeds(&outcome), ["archive question \"Of an older version\""]);
    let changes = metabase.changes();
    assert!(changes.len() == 1 && changes[0].starts_with("PUT card/"), "{changes:?}");
    metabase.with_card("Of an older version", |card| assert_eq!(card["archived"], true));
    assert_eq!(pushed(&metabase, &[]).await["changes"], json!([]), "in the bin it stays");
}

#[tokio::test]
async fn where_it_goes_is_told_or_asked() {
    let metabase = Metabase::start(false).await;
    metabase.add_database("reports");
    let asked = push(&metabase, &[]).await.expect(1);
    asked.complains("Name it by --database, one of: Sample Database, app, reports");
    let none = push(&metabase, &["--database", "nowhere"]).await.expect(1);
    none.complains("Metabase has no database called \"nowhere\"");
    let outcome = pushed(&metabase, &["--database", "reports", "--collection", "Model gates"]).await;
    assert_eq!((&outcome["database"], &outcome["collection"]), (&json!("reports"), &json!("Model gates")));
    assert_eq!(metabase.collections(), ["Model gates"]);
    assert!(metabase.cards().iter().all(|card| card["database_id"] == 12));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let metabase = Metabase::start(false).await;
    let attempt = |url: String, key: &'static str| {
        let mut command = program(&["metabase", "push", "--url", &url]);
        command.env("METABASE_API_KEY", key).env_remove("METABASE_URL");
        told(command)
    };
    attempt(metabase.url(), "mb_wrong").await.expect(1).complains("Check the API key: an administrator makes it");
    attempt(format!("{}/elsewhere", metabase.url()), KEY).await.expect(1).complains("is http://127.0.0.1");
    attempt(format!("http://127.0.0.1:{}", crate::embedded::closed_port()), KEY)
        .await
        .expect(1)
        .complains("is Metabase up");
    attempt("https://me:s3cret@metabase".into(), KEY).await.expect(1).complains("without a user or password");
    let mut keyless = program(&["metabase", "push", "--url", &metabase.url()]);
    keyless.env_remove("METABASE_API_KEY");
    told(keyless).await.expect(1).complains("environment variable METABASE_API_KEY is not set");
    let mut nowhere = program(&["metabase", "push"]);
    nowhere.env_remove("METABASE_URL");
    told(nowhere).await.expect(1).complains("Give --url, or METABASE_URL");

    pushed(&metabase, &[]).await;
    metabase.with_card("Nights", |card| card["display"] = json!("bar"));
    metabase.forget();
    push(&metabase, &[]).await.expect(1).complains("Nights was written and reads otherwise: display");
}

/// Metabase's own client checks every answer against what it knows of the server; so it holds the stand-in to it.
#[tokio::test]
async fn metabases_own_client_reads_what_was_pushed() {
    let metabase = Metabase::start(true).await;
    pushed(&metabase, &[]).await;
    let ask = async |arguments: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let mut client = tool("mb");
        client.args(arguments).args([
            "--url",
            &metabase.url(),
            "--api-key",
            KEY,
            "--skip-preflight",
            "--full",
            "--json",
        ]);
        client.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
        told(client).await.expect(0).json()
    };
    let card = metabase.cards().into_iter().find(|card| card["name"] == "Effect by night").unwrap();
    let read = ask(&["card", "get", &card["id"].to_string()]).await;
    assert_eq!(read["name"], "Effect by night");
    let dashboard = metabase.dashboards().into_iter().find(|d| d["name"] == "Rampkeeper: one experiment").unwrap();
    let read = ask(&["dashboard", "get", &dashboard["id"].to_string()]).await;
    assert_eq!(read["dashcards"].as_array().map(Vec::len), Some(7));
}
