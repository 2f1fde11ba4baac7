//! The registry adapters against a real MLflow server and a real PostgreSQL.

use std::time::Duration;

use rampkeeper::domain::ModelVersion;
use rampkeeper::registry::{
    Auth, LocalRegistry, MlflowRegistry, MlflowSettings, Registry, RegistryError, Service, TablePrefix, VersionStatus,
    install_crypto_provider,
};
use serde_json::json;
use sqlx::any::{AnyPoolOptions, install_default_drivers};

use crate::embedded::{World, told};
use crate::support::mlflow::Mlflow;
use crate::support::postgres::Postgres;

#[path = "../../src/registry/contract.rs"]
mod contract;

fn registry(mlflow: &Mlflow) -> MlflowRegistry {
    registry_as(mlflow, Auth::None)
}

fn registry_as(mlflow: &Mlflow, auth: Auth) -> MlflowRegistry {
    install_crypto_provider();
    let url = mlflow.url().parse().expect("the server's address");
    let settings = MlflowSettings {
        url,
        auth,
        service: Service::Mlflow,
        workspace: None,
        ca_file: None,
        timeout: Duration::from_secs(30),
        retries: 2,
        retry_delay: Duration::from_millis(50),
    };
    MlflowRegistry::new(settings).expect("settings that work")
}

async fn versions<const N: usize>(mlflow: &Mlflow, model: &str) -> [ModelVersion; N] {
    mlflow.create_model(model).await;
    let mut versions = [(); N].map(|()| ModelVersion { model: model.to_owned(), version: String::new() });
    for version in &mut versions {
        version.version = mlflow.create_version(model).await;
    }
    versions
}

#[tokio::test]
async fn mlflow_keeps_the_contract() {
    let mlflow = Mlflow::shared().await;
    let versions = versions(mlflow, "registry contract ü & 50% 'a'").await;
    contract::holds(&registry(mlflow), &versions).await;
}

#[tokio::test]
async fn what_is_written_is_what_others_read() {
    let mlflow = Mlflow::shared().await;
    let [first, second] = versions(mlflow, "registry_others").await;
    let registry = registry(mlflow);
    registry.set_tag(&second, "stage", "production").await.expect("a tag");
    registry.set_alias(&second, "champion").await.expect("an alias");
    assert_eq!(mlflow.version_tags("registry_others", &second.version).await["stage"], "production");
    assert_eq!(mlflow.aliases("registry_others").await["champion"], second.version);

    // Someone moves the alias by hand: reading back shows it.
    mlflow.set_alias("registry_others", "champion", &first.version).await;
    assert_eq!(registry.alias("registry_others", "champion").await.expect("an answer"), Some(first.clone()));
    let info = registry.version(&first).await.expect("an answer").expect("a version");
    assert_eq!((info.aliases, info.status), (vec!["champion".to_owned()], VersionStatus::Ready));
    registry.delete_alias("registry_others", "champion").await.expect("a removal");
    assert!(mlflow.aliases("registry_others").await.is_empty());
}

#[tokio::test]
async fn a_tag_needs_a_version() {
    let mlflow = Mlflow::shared().await;
    let [first] = versions(mlflow, "registry_missing").await;
    let missing = ModelVersion { version: "77".into(), ..first };
    let error = registry(mlflow).set_tag(&missing, "stage", "production").await.expect_err("no such version");
    assert!(matches!(error, RegistryError::NoSuchVersion { .. }), "{error}");
}

#[tokio::test]
async fn a_version_that_is_no_number_is_refused_in_the_servers_words() {
    let mlflow = Mlflow::shared().await;
    let [first] = versions(mlflow, "registry_number").await;
    let odd = ModelVersion { version: "two".into(), ..first };
    let error = registry(mlflow).version(&odd).await.expect_err("no number");
    assert!(error.to_string().contains("registry_number version two was answered 400"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn every_page_of_a_long_list_is_read() {
    const MODEL: &str = "registry_pages";
    let mlflow = Mlflow::shared().await;
    mlflow.create_model(MODEL).await;
    for number in 1..=205 {
        assert_eq!(mlflow.create_version(MODEL).await, number.to_string());
    }
    let registry = registry(mlflow);
    let of = |version: &str| ModelVersion { model: MODEL.into(), version: version.into() };
    for number in ["3", "200", "205"] {
        registry.set_tag(&of(number), "stage", "production").await.expect("a tag");
    }
    registry.set_alias(&of("1"), "champion").await.expect("an alias");
    let tagged = registry.versions_tagged(MODEL, "stage", "production").await.expect("an answer");
    assert_eq!(tagged, [of("3"), of("200"), of("205")]);
    let listed = registry.versions(MODEL).await.expect("an answer").expect("a model");
    let numbers: Vec<_> = listed.iter().map(|found| found.version.version.clone()).collect();
    assert_eq!(numbers, (1..=205).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(listed[0].info.aliases, ["champion"]);
    assert_eq!(listed[204].info.tags["stage"], "production");
}

fn basic(user: &str, password: &str) -> Auth {
    Auth::Basic { user: user.to_owned(), password: password.to_owned().into() }
}

/// Everything that a login may do or not, at a server that asks for one; it takes long to start, so this is one test.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_login() {
    let mlflow = Mlflow::with_login("ops", "correct-horse-battery").await;
    mlflow.create_user("reader", "reads-all-day-long").await;
    let versions = versions(&mlflow, "registry_login").await;
    contract::holds(&registry_as(&mlflow, basic("ops", "correct-horse-battery")), &versions).await;

    for nobody in [Auth::None, basic("ops", "s3cret-wrong"), Auth::Bearer("s3cret-token".to_owned().into())] {
        let error = registry_as(&mlflow, nobody).version(&versions[0]).await.expect_err("nobody is let in");
        let told = error.to_string();
        assert!(told.contains("was answered 401: You are not authenticated.") && !told.contains("s3cret"), "{told}");
        assert!(told.contains("MLFLOW_TRACKING_USERNAME") && !error.is_transient(), "{told}");
    }
    let reader = registry_as(&mlflow, basic("reader", "reads-all-day-long"));
    assert!(reader.version(&versions[0]).await.expect("may be read").is_some());
    let error = reader.set_tag(&versions[0], "stage", "production").await.expect_err("may not be written");
    assert!(error.to_string().contains("403: Permission denied. That user may not do it: give it EDIT"), "{error}");

    // The program, with nothing but MLflow's own names in its environment.
    let mut world = World::new(vec![]).await;
    world.settings["registry"] = json!({ "mlflow": {} });
    world.configure();
    let check = |password: &str| {
        let mut check = world.command(&["check", "--only", "registry", "--output", "json"]);
        check.env("MLFLOW_TRACKING_URI", mlflow.url()).env("HOME", world.path("")).env_remove("MLFLOW_REGISTRY_URI");
        check.env("MLFLOW_TRACKING_USERNAME", "ops").env("MLFLOW_TRACKING_PASSWORD", password);
        told(check)
    };
    let let_in = check("correct-horse-battery").await.expect(0);
    let origins = "address from MLFLOW_TRACKING_URI, user and password from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";
    assert!(let_in.out.contains(origins) && let_in.out.contains("version 3."), "{}", let_in.out);
    assert!(!format!("{let_in:?}").contains("correct-horse"), "{let_in:?}");
    let left_out = check("s3cret-wrong").await.expect(1);
    assert!(left_out.out.contains("401") && !format!("{left_out:?}").contains("s3cret"), "{left_out:?}");
    let mut nowhere = world.command(&["check", "--only", "registry"]);
    nowhere.env_remove("MLFLOW_TRACKING_URI").env_remove("MLFLOW_REGISTRY_URI");
    let nowhere = told(nowhere).await.expect(1);
    assert!(nowhere.out.contains("neither MLFLOW_REGISTRY_URI nor MLFLOW_TRACKING_URI is set"), "{}", nowhere.out);
}

/// As the control store's migrations make them.
const TABLES: &str = "create schema rampkeeper;
    create table rampkeeper.registry_tags (model text not null, version text not null, key text not null,
        value text not null, primary key (model, version, key));
    create table rampkeeper.registry_aliases (model text not null, alias text not null, version text not null,
        primary key (model, alias))";

#[tokio::test]
async fn the_local_registry_keeps_the_contract_on_postgres() {
    let postgres = Postgres::shared().await;
    let url = postgres.database("registry").await;
    postgres.sql(&url, TABLES).await;
    install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(2).connect(&url).await.expect("a connection");
    let registry = LocalRegistry::new(pool, TablePrefix::Postgres);
    let versions =
        ["9", "10", "11"].map(|version| ModelVersion { model: "planner 'x'".into(), version: version.into() });
    for version in &versions {
        registry.set_tag(version, "made", "by hand").await.expect("a tag");
    }
    contract::holds(&registry, &versions).await;
    let kept = postgres.sql(&url, "select alias, version from rampkeeper.registry_aliases order by alias").await;
    assert_eq!(kept, "archived-best|10");
}
