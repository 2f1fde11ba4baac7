//! The files, held to Metabase's own tools.

use std::path::PathBuf;

use tokio::process::Command;

use crate::embedded::{program, told};

/// A program of `tests/dashboards`, which `tests/run` installed.
pub fn tool(name: &str) -> Command {
    let missing =
        "RAMPKEEPER_TEST_METABASE is not set: start the tests with tests/run, which installs Metabase's tools";
    let folder = PathBuf::from(std::env::var_os("RAMPKEEPER_TEST_METABASE").expect(missing));
    let mut command = match std::env::var_os("RAMPKEEPER_TEST_NODE_BIN") {
        Some(node) => {
            let mut command = Command::new(node);
            command.arg(folder.join("node_modules/.bin").join(name));
            command
        }
        None => Command::new(folder.join("node_modules/.bin").join(name)),
    };
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn metabases_own_validator_accepts_every_file() {
    let mut validator = tool("representations");
    let queries = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("queries/metabase");
    validator.args(["validate-schema", "--folder"]).arg(queries);
    let said = told(validator).await.expect(0);
    assert!(said.out.contains("23 passed, 0 failed"), "{}", said.out);
}

#[tokio::test]
async fn what_is_exported_is_what_the_validator_accepts_and_a_fault_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new/metabase");
    let said = told(program(&["metabase", "export", folder.to_str().unwrap()])).await.expect(0);
    assert!(said.out.contains("23 files are in"), "{}", said.out);
    let validate = || {
        let mut validator = tool("representations");
        validator.args(["validate-schema", "--folder"]).arg(&folder);
        told(validator)
    };
    validate().await.expect(0);
    let card = folder.join("collections/main/rampkeeper/shares.yaml");
    let text = std::fs::read_to_string(&card).unwrap();
    std::fs::write(&card, text.replace("display: line", "display: picture")).unwrap();
    validate().await.expect(1);
}
