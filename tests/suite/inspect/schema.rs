//! The schemas of the configuration: as the types have it, and every example is valid by them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::embedded::{program, told};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const NAMES: [&str; 4] = ["config", "metrics", "promotion", "simulation"];

#[tokio::test]
async fn the_schemas_in_the_repository_are_those_of_the_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/schema");
    told(program(&["schema", "--directory", path.to_str().unwrap()])).await.expect(0);
    for name in NAMES {
        let file = format!("{name}.schema.json");
        let stored = root().join("config/schema").join(&file);
        assert_eq!(
            read(&path.join(&file)),
            read(&stored),
            "{file} is not up to date: run `rampkeeper schema --directory config/schema`"
        );
        let one = told(program(&["schema", name])).await.expect(0).json();
        assert_eq!(one, serde_json::from_str::<Value>(&read(&stored)).unwrap());
    }
    let all = told(program(&["schema"])).await.expect(0).json();
    assert_eq!(all["schema_version"], 1);
    assert_eq!(all["schemas"].as_object().unwrap().len(), NAMES.len());
}

/// Every YAML file of the configuration in the repository, with the schema that its first line names.
fn examples() -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for folder in ["config", "config/deploy/kubernetes/overlays/example/config"] {
        for entry in root().join(folder).read_dir().unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let text = read(&path);
            let first = text.lines().next().unwrap_or_default();
            let schema = first.strip_prefix("# yaml-language-server: $schema=");
            let schema = schema.unwrap_or_else(|| panic!("{} names no schema in its first line", path.display()));
            found.push((path.clone(), path.parent().unwrap().join(schema)));
        }
    }
    found
}

#[test]
fn every_example_is_valid_by_the_schema_that_it_names() {
    let examples = examples();
    assert_eq!(examples.len(), 11, "{examples:?}");
    for (example, schema) in examples {
        let value: Value = serde_saphyr::from_str(&read(&example)).unwrap();
        let schema: Value = serde_json::from_str(&read(&schema)).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", example.display());
        // The schema says no to something: an unknown key.
        let mut wrong = value.clone();
        wrong.as_object_mut().unwrap().insert("no_such_key".into(), Value::Null);
        assert!(!validator.is_valid(&wrong), "{}", example.display());
    }
}
