use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::*;

const FILES: [(&str, &str); 3] = [
    ("metrics.yml", include_str!("../../../config/metrics.example.yml")),
    ("promotion.yml", include_str!("../../../config/promotion.example.yml")),
    ("secret", "from-a-file\n"),
];

/// What is found for these keys of `registry.mlflow` in this environment.
fn look(keys: &str, variables: &[(&str, &str)]) -> anyhow::Result<Found> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let file = dir.path().join("rampkeeper.yml");
    let text = format!(
        "control: {{ url: \"sqlite:control.db\" }}\nwarehouse: {{ lake: {{ path: lake }} }}\nregistry: {{ mlflow: {{ {keys} }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = crate::config::load(&file)?;
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let entry = config.settings.registry.mlflow.as_ref().unwrap();
    find(&config, entry, Patience::OF_A_NIGHT, &environment)
}

fn refused(keys: &str, variables: &[(&str, &str)]) -> String {
    let told = look(keys, variables).err().expect("a refusal");
    let told = format!("{told:#}");
    assert!(!told.contains("s3cret"), "{told}");
    told
}

fn login(found: &Found) -> String {
    match &found.settings.auth {
        Auth::None => "nobody".to_owned(),
        Auth::Basic { user, password } => format!("{user}:{}", password.expose_secret()),
        Auth::Bearer(token) => format!("bearer {}", token.expose_secret()),
    }
}

#[test]
fn nothing_but_mlflows_own_variables_is_enough() {
    let found = look(
        "",
        &[
            ("MLFLOW_TRACKING_URI", "http://tracking:5000"),
            ("MLFLOW_TRACKING_USERNAME", "ops"),
            ("MLFLOW_TRACKING_PASSWORD", "s3cret"),
            ("MLFLOW_TRACKING_TOKEN", "s3cret-token"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "120"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7"),
            ("MLFLOW_WORKSPACE", "planning"),
        ],
    )
    .unwrap();
    assert_eq!(found.settings.url.as_str(), "http://tracking:5000/");
    assert_eq!(login(&found), "ops:s3cret", "user and password go before a token");
    assert_eq!((found.settings.timeout, found.settings.retries), (Duration::from_secs(120), 7));
    assert_eq!(found.settings.workspace.as_deref(), Some("planning"));
    assert_eq!(
        found.origins,
        [
            "address from MLFLOW_TRACKING_URI",
            "user and password from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            "timeout 120 s from MLFLOW_HTTP_REQUEST_TIMEOUT",
            "7 retries from MLFLOW_HTTP_REQUEST_MAX_RETRIES",
            "workspace planning from MLFLOW_WORKSPACE",
        ]
    );
}

#[test]
fn the_registrys_address_goes_before_the_tracking_servers_and_the_configuration_before_both() {
    let variables = [
        ("MLFLOW_TRACKING_URI", "http://tracking:5000"),
        ("MLFLOW_REGISTRY_URI", "https://registry:5000"),
        ("MLFLOW_TRACKING_TOKEN", "s3cret"),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/etc/authority.pem"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "120"),
    ];
    let found = look("", &variables).unwrap();
    assert_eq!((found.settings.url.as_str(), login(&found).as_str()), ("https://registry:5000/", "bearer s3cret"));
    assert_eq!(found.settings.ca_file, Some("/etc/authority.pem".into()));
    let keys = "url: https://own:5000, username: me, password: { file: secret }, ca_file: own.pem, timeout_seconds: 5";
    let found = look(keys, &variables).unwrap();
    assert_eq!((found.settings.url.as_str(), login(&found).as_str()), ("https://own:5000/", "me:from-a-file"));
    assert!(found.settings.ca_file.as_ref().unwrap().ends_with("own.pem"));
    assert_eq!(found.settings.timeout, Duration::from_secs(5));
    assert_eq!(
        found.origins,
        [
            "address from registry.mlflow.url",
            "user and password from registry.mlflow",
            "authority from registry.mlflow.ca_file",
            "timeout 5 s from registry.mlflow.timeout_seconds",
        ]
    );
}

#[test]
fn credentials_may_be_kept_where_mlflow_keeps_them() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".mlflow")).unwrap();
    let kept = "[mlflow]\nmlflow_tracking_username = kept\nmlflow_tracking_password = s3cret\n";
    std::fs::write(home.path().join(".mlflow/credentials"), kept).unwrap();
    let found = look("url: http://mlflow", &[("HOME", home.path().to_str().unwrap())]).unwrap();
    assert_eq!(login(&found), "kept:s3cret");
    assert_eq!(found.origins[1], "user and password from ~/.mlflow/credentials");
    assert_eq!(login(&look("url: http://mlflow", &[("HOME", "/nowhere")]).unwrap()), "nobody");
}

#[test]
fn what_cannot_be_meant_is_refused_without_repeating_it() {
    assert!(refused("", &[]).contains("neither MLFLOW_REGISTRY_URI nor MLFLOW_TRACKING_URI is set"));
    for uri in ["sqlite:///mlflow.db", "postgresql://me:s3cret@db/mlflow", "./mlruns", "file:///s3cret"] {
        assert!(refused("", &[("MLFLOW_TRACKING_URI", uri)]).contains("MLFLOW_TRACKING_URI names no server"), "{uri}");
    }
    let half = refused("url: http://mlflow", &[("MLFLOW_TRACKING_PASSWORD", "s3cret")]);
    assert_eq!(half, "MLFLOW_TRACKING_PASSWORD is set without MLFLOW_TRACKING_USERNAME: set both, or neither");
    let slow = refused("url: http://mlflow", &[("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")]);
    assert_eq!(slow, "MLFLOW_HTTP_REQUEST_TIMEOUT must be a whole number from 1 to 86400, and is \"soon\"");
    let insecure = [("MLFLOW_TRACKING_INSECURE_TLS", "true")];
    assert!(refused("url: https://mlflow", &insecure).contains("which this program never does"));
    // Without TLS it says nothing.
    assert!(look("url: http://mlflow", &insecure).is_ok());
    let found = look("url: http://mlflow", &[("MLFLOW_TRACKING_AWS_SIGV4", "true")]).unwrap();
    assert_eq!(found.unheeded, ["MLFLOW_TRACKING_AWS_SIGV4"]);
}

#[test]
fn a_workspace_of_databricks_is_found_as_its_own_clients_find_it() {
    let host = ("DATABRICKS_HOST", "dbc-1.cloud.databricks.com");
    let token = ("DATABRICKS_TOKEN", "s3cret");
    let found = look("", &[("MLFLOW_TRACKING_URI", "databricks"), host, token]).unwrap();
    assert_eq!(found.settings.url.as_str(), "https://dbc-1.cloud.databricks.com/");
    assert_eq!((found.settings.service, login(&found).as_str()), (Service::Databricks, "bearer s3cret"));
    assert_eq!(
        found.origins,
        ["`databricks` from MLFLOW_TRACKING_URI, its host from DATABRICKS_HOST", "token from DATABRICKS_TOKEN"]
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("profiles");
    std::fs::write(&file, "[DEFAULT]\nhost = https://d.example\n[eu]\nhost = https://eu.example/\ntoken = s3cret-eu\n")
        .unwrap();
    let file = ("DATABRICKS_CONFIG_FILE", file.to_str().unwrap());
    let found = look("url: databricks-uc://eu", &[file, host, token]).unwrap();
    assert_eq!((found.settings.url.as_str(), login(&found).as_str()), ("https://eu.example/", "bearer s3cret-eu"));
    assert_eq!(found.settings.service, Service::UnityCatalog);
    let found = look("url: databricks, token: { file: secret }", &[file]).unwrap();
    assert_eq!((found.settings.url.as_str(), login(&found).as_str()), ("https://d.example/", "bearer from-a-file"));
    assert!(refused("url: databricks", &[file]).contains("set DATABRICKS_TOKEN"));
    assert!(refused("url: \"databricks://us\"", &[file, host, token]).contains("has no profile [us]"));
    assert!(refused("", &[("MLFLOW_TRACKING_URI", "databricks://scope:prefix")]).contains("secret scope"));
}
