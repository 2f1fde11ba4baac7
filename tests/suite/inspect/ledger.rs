//! A ledger that somebody altered: every column of every row is held by the chain or by the moments behind it.

use super::{after_three_nights, look};
use crate::embedded::{World, key};

/// Takes the guards off, as somebody with the rights of an owner could.
const UNGUARDED: &str = "PRAGMA foreign_keys = OFF; DROP TRIGGER IF EXISTS rampkeeper_decisions_no_update;
     DROP TRIGGER IF EXISTS rampkeeper_decisions_no_delete;";

/// A store that can be put back as it was.
struct Kept {
    world: World,
    bytes: Vec<u8>,
}

impl Kept {
    async fn new() -> Kept {
        let world = after_three_nights().await;
        world.sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").await;
        let bytes = std::fs::read(world.path("control.db")).unwrap();
        Kept { world, bytes }
    }

    /// What `verify` says of the store after these statements, which must end it with 3.
    async fn verify_after(&self, statements: &str, arguments: &[&str]) -> serde_json::Value {
        for leftover in ["control.db-wal", "control.db-shm"] {
            let _ = std::fs::remove_file(self.world.path(leftover));
        }
        std::fs::write(self.world.path("control.db"), &self.bytes).unwrap();
        self.world.sql(&format!("{UNGUARDED} {statements}")).await;
        let told = look(&self.world, &[&["verify"], arguments].concat()).await;
        assert_eq!(told.code, Some(3), "{statements}: {}{}", told.out, told.err);
        let json = look(&self.world, &[&["verify", "--output", "json"], arguments].concat()).await;
        json.expect(3).json()
    }
}

#[tokio::test]
async fn a_row_that_was_altered_in_any_column_breaks_the_chain() {
    let kept = Kept::new().await;
    let whole = look(&kept.world, &["verify", "--quick"]).await.expect(0);
    assert!(whole.out.contains("the chain is whole: 5 decisions"), "{}", whole.out);
    let other = key("somebody else");
    let cases = [
        ("id", format!("'{other}'")),
        ("position", "17".to_owned()),
        ("run_id", format!("'{other}'")),
        ("experiment_id", format!("'{other}'")),
        ("candidate_id", format!("'{other}'")),
        ("as_of", "'2026-02-02'".to_owned()),
        ("revision", "revision + 1".to_owned()),
        ("outcome", "'promote'".to_owned()),
        ("decision", "replace(decision, '\"outcome\":\"hold\"', '\"outcome\":\"promote\"')".to_owned()),
        ("inputs_digest", "'0'".to_owned()),
        ("decided_at", "'2026-03-03T02:00:01.000000Z'".to_owned()),
        ("previous_hash", "'0'".to_owned()),
        ("hash", "'0'".to_owned()),
    ];
    let columns =
        kept.world.text("SELECT group_concat(name, ' ') FROM pragma_table_info('rampkeeper_decisions')").await;
    let tested: Vec<&str> = cases.iter().map(|(column, _)| *column).collect();
    assert_eq!(columns, tested.join(" "), "every column is tried");
    for (column, value) in cases {
        let statements = format!("UPDATE rampkeeper_decisions SET {column} = {value} WHERE position = 2");
        let verified = kept.verify_after(&statements, &["--quick"]).await;
        let first = &verified["faults"][0];
        assert_eq!(first["position"], 2, "{column}: {verified:#}");
    }
    for (column, altered) in [
        // Some can be read, and some cannot.
        ("assessment", "replace(assessment, '\"events\":', '\"events\":1')"),
        ("assessment", "'{'"),
        ("assessment", "assessment || ' '"),
        ("basis", "replace(basis, '\"shown_before\":0', '\"shown_before\":1')"),
        ("basis", "NULL"),
        ("basis", "'{'"),
    ] {
        let fourth = "decision_id = (SELECT id FROM rampkeeper_decisions WHERE position = 4)";
        let statements = format!("UPDATE rampkeeper_looks SET {column} = {altered} WHERE {fourth}");
        let verified = kept.verify_after(&statements, &["--quick"]).await;
        assert_eq!(verified["faults"][0]["position"], 4, "{column} = {altered}: {verified:#}");
        assert_eq!(verified["decisions"], 5, "what follows is walked as well");
    }
}

#[tokio::test]
async fn what_was_altered_is_named_where_something_else_tells() {
    let kept = Kept::new().await;
    for (change, words) in [
        ("outcome = 'promote'", "column outcome is \"promote\", but the decision is to hold"),
        ("as_of = '2026-02-02'", "column as_of is 2026-02-02, but its facts say 2026-03-02"),
        ("revision = 'first'", "it cannot be read"),
        ("previous_hash = '0'", "it follows 0, but the decision before it has the hash"),
    ] {
        let statements = format!("UPDATE rampkeeper_decisions SET {change} WHERE position = 2");
        let verified = kept.verify_after(&statements, &["--quick"]).await;
        let faults = verified["faults"].to_string().replace("\\\"", "\"");
        assert!(faults.contains(words), "{change}: {words} is not in {faults}");
    }
}

#[tokio::test]
async fn a_row_that_was_taken_out_or_put_between_breaks_the_chain() {
    let kept = Kept::new().await;
    for (statements, position) in [
        ("DELETE FROM rampkeeper_decisions WHERE position = 3", 3),
        ("DELETE FROM rampkeeper_decisions WHERE position = 1", 1),
        // The end of the ledger: what readers were told of is not there.
        ("DELETE FROM rampkeeper_decisions WHERE position = 5", 5),
        ("DELETE FROM rampkeeper_decisions WHERE position > 3", 4),
        (
            "DELETE FROM rampkeeper_looks WHERE decision_id = (SELECT id FROM rampkeeper_decisions WHERE position = 5)",
            5,
        ),
        (
            "UPDATE rampkeeper_decisions SET position = position + 100 WHERE position > 3;
             UPDATE rampkeeper_decisions SET position = position - 99 WHERE position > 100;
             INSERT INTO rampkeeper_decisions SELECT 'ffffffff-0000-0000-0000-000000000000', 4, run_id, experiment_id,
                    candidate_id, '2026-01-01', 9, outcome, decision, inputs_digest, decided_at, previous_hash, 'forged'
             FROM rampkeeper_decisions WHERE position = 3;
             INSERT INTO rampkeeper_looks SELECT 'ffffffff-0000-0000-0000-000000000000', assessment, basis
             FROM rampkeeper_looks WHERE decision_id = (SELECT id FROM rampkeeper_decisions WHERE position = 3)",
            4,
        ),
    ] {
        let verified = kept.verify_after(statements, &["--quick"]).await;
        assert_eq!(verified["faults"][0]["position"], position, "{statements}: {verified:#}");
    }
}

/// The chain is whole there, and what it holds does not follow from what is stored.
#[tokio::test]
async fn altered_moments_and_rules_are_found_by_making_the_decisions_again() {
    let kept = Kept::new().await;
    for (statements, what) in [
        ("UPDATE rampkeeper_cohorts SET packed = (SELECT min(packed) FROM rampkeeper_cohorts)", "different"),
        ("UPDATE rampkeeper_cohorts SET packed = x'01' WHERE cohort_date = '2026-03-02'", "lost"),
        ("DELETE FROM rampkeeper_cohorts WHERE cohort_date = '2026-03-02'", "different"),
        (
            "UPDATE rampkeeper_rules SET rules = replace(rules, '\"materiality\":0.5', '\"materiality\":0.4')",
            "different",
        ),
        ("DELETE FROM rampkeeper_rules", "lost"),
        ("UPDATE rampkeeper_allocation_epochs SET allocations = replace(allocations, '0.9', '0.5')", "different"),
    ] {
        let verified = kept.verify_after(statements, &[]).await;
        assert_eq!(verified["faults"].as_array().map(Vec::len), Some(0), "{statements}: {verified:#}");
        let wrong = &verified["made_again"]["wrong"][0];
        assert_eq!(wrong["again"], what, "{statements}: {verified:#}");
        let told = look(&kept.world, &["replay", "--as-of", "2026-03-03"]).await.expect(3);
        assert!(told.out.contains('✗'), "{}", told.out);
    }
    let told = look(&kept.world, &["explain", "costly"]).await.expect(0).out;
    assert!(told.contains("✗ something else"), "{told}");
}
