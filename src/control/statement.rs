//! SQL written once, in PostgreSQL's words, and translated for SQLite.
//!
//! The differences are few: SQLite has no schemas (`exp.variants` becomes `exp_variants`), no casts by `::` (every value
//! is bound as text or a number already) and no row locks (a write transaction holds the whole file). A list comes as one
//! JSON array, whose elements both databases give as rows with a column `value`.

use std::sync::OnceLock;

/// Which database a store lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite, embedded.
    Sqlite,
}

/// A statement in both dialects.
#[derive(Debug)]
pub(super) struct Statement {
    postgres: &'static str,
    sqlite: OnceLock<String>,
}

impl Statement {
    pub(super) const fn new(postgres: &'static str) -> Self {
        Self { postgres, sqlite: OnceLock::new() }
    }

    /// The text for that dialect.
    pub(super) fn sql(&'static self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite.get_or_init(|| to_sqlite(self.postgres)),
        }
    }
}

fn to_sqlite(sql: &str) -> String {
    let mut sql = sql.replace("exp.", "exp_").replace("rampkeeper.", "rampkeeper_").replace(" FOR UPDATE", "");
    sql = sql.replace("json_array_elements_text(", "json_each(").replace(" AS bytea)", " AS BLOB)");
    while let Some(start) = sql.find("::") {
        let word = sql[start + 2..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(sql.len() - start - 2);
        sql.replace_range(start..start + 2 + word, "");
    }
    sql
}

macro_rules! statements {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: Statement =
            Statement::new(include_str!(concat!("../../queries/control/", $file, ".sql")));)*
    };
}

statements! {
    ACQUIRE_LEASE = "acquire_lease";
    ACTION_DONE = "action_done";
    ACTION_EXISTS = "action_exists";
    ACTION_FAILED = "action_failed";
    ACTS_OF = "acts_of";
    ALL_INCIDENTS = "all_incidents";
    ALL_REPORTS_OF_NIGHT = "all_reports_of_night";
    AMENDMENTS_OF = "amendments_of";
    APPLY_MOVES = "apply_moves";
    APPLY_REDRAW = "apply_redraw";
    APPLY_UNDO = "apply_undo";
    CANCEL_SWEEPS = "cancel_sweeps";
    CHANGE_ALLOCATION = "change_allocation";
    CHANGE_EXPERIMENT = "change_experiment";
    CHANGE_POLICY_VERSION = "change_policy_version";
    CHANGE_PROMPT_VERSION = "change_prompt_version";
    CHANGE_VARIANT = "change_variant";
    CHECK_ALLOCATION = "check_allocation";
    CLOSE_EPOCH = "close_epoch";
    CLOSE_INCIDENT = "close_incident";
    COHORTS_READ_BY = "cohorts_read_by";
    COMPLETE_EXPERIMENT = "complete_experiment";
    COUNT_UNITS = "count_units";
    DECISIONS = "decisions";
    DESCRIBE_POLICY = "describe_policy";
    DESCRIBE_PROMPT = "describe_prompt";
    DECISIONS_SINCE = "decisions_since";
    DUE_ACTIONS = "due_actions";
    ENROLMENTS_OF = "enrolments_of";
    EPOCHS_OF = "epochs_of";
    EXPERIMENT_NAMES = "experiment_names";
    EXPERIMENT_STATUS = "experiment_status";
    FIND_DECISIONS = "find_decisions";
    FIND_EXPERIMENT = "find_experiment";
    FINISH_RUN = "finish_run";
    HAS_REPORT = "has_report";
    INSERT_ACT = "insert_act";
    INSERT_ACTION = "insert_action";
    INSERT_AMENDMENT = "insert_amendment";
    INSERT_DECISION = "insert_decision";
    INSERT_ENROLMENT = "insert_enrolment";
    INSERT_EXPERIMENT = "insert_experiment";
    INSERT_LOOK = "insert_look";
    INSERT_POLICY = "insert_policy";
    INSERT_POLICY_VERSION = "insert_policy_version";
    INSERT_PROMPT = "insert_prompt";
    INSERT_PROMPT_VERSION = "insert_prompt_version";
    INSERT_QUALIFICATION = "insert_qualification";
    INSERT_REPORT = "insert_report";
    INSERT_ROUTE_NOTE = "insert_route_note";
    INSERT_RULES = "insert_rules";
    INSERT_THRESHOLD = "insert_threshold";
    INSERT_VARIANT = "insert_variant";
    JOURNALLED_MAIL = "journalled_mail";
    JUDGED_EXPERIMENTS = "judged_experiments";
    LAST_ACTION_POSITION = "last_action_position";
    LAST_DECISION = "last_decision";
    LAST_EPOCH = "last_epoch";
    LAST_REGISTRY_WRITE = "last_registry_write";
    LAST_RUN = "last_run";
    LATEST_DECISIONS = "latest_decisions";
    LATEST_NIGHTS_OF = "latest_nights_of";
    LATEST_REPORTS = "latest_reports";
    LEASE_HOLDER = "lease_holder";
    LEFT_ALONE = "left_alone";
    LOAD_ACTS = "load_acts";
    LOAD_ALL_EXPERIMENTS = "load_all_experiments";
    LOAD_ALL_PROGRESS = "load_all_progress";
    LOAD_ALL_VARIANTS = "load_all_variants";
    LOAD_COHORTS = "load_cohorts";
    LOAD_DAYS = "load_days";
    LOAD_ENROLLED_VERSIONS = "load_enrolled_versions";
    LOAD_EPOCHS = "load_epochs";
    LOAD_EXPERIMENTS = "load_experiments";
    LOAD_LAST_DECISIONS = "load_last_decisions";
    LOAD_OFFLINE_RESULTS = "load_offline_results";
    LOAD_PACKED_COHORTS = "load_packed_cohorts";
    LOAD_POLICIES = "load_policies";
    LOAD_POLICY_VERSIONS = "load_policy_versions";
    LOAD_PROMPT_VERSIONS = "load_prompt_versions";
    LOAD_PROMPTS = "load_prompts";
    LOAD_QUALIFICATIONS = "load_qualifications";
    LOAD_ROLLOUTS = "load_rollouts";
    LOAD_RULES = "load_rules";
    LOAD_SETTLED = "load_settled";
    LOAD_SHARE = "load_share";
    LOAD_THRESHOLDS = "load_thresholds";
    LOAD_VARIANTS = "load_variants";
    LOAD_VERSIONS = "load_versions";
    LOCK_EXPERIMENT = "lock_experiment";
    LOG_EVENT = "log_event";
    LOOKS_BEFORE = "looks_before";
    MAILS_THAT_NAME = "mails_that_name";
    MARKS_OF_CHANGE = "marks_of_change";
    MARK_TOLD = "mark_told";
    MIGRATIONS = "migrations";
    MOVE_BATCH = "move_batch";
    NEXT_MOVE_BATCH = "next_move_batch";
    NEXT_POSITION = "next_position";
    NEXT_REDRAW_BATCH = "next_redraw_batch";
    NEXT_UNDO_BATCH = "next_undo_batch";
    NIGHTS = "nights";
    NOTE_INCIDENT = "note_incident";
    NOTE_OFFLINE_VERDICT = "note_offline_verdict";
    NOTE_REGISTRY_WRITE = "note_registry_write";
    OPEN_ACTIONS = "open_actions";
    OPEN_EPOCH = "open_epoch";
    OPEN_INCIDENTS = "open_incidents";
    PENDING_ACTIONS = "pending_actions";
    POLICY_VERSION_STATUS = "policy_version_status";
    PROMPT_VERSION_STATUS = "prompt_version_status";
    PROMPT_VERSIONS = "prompt_versions";
    QUALIFICATION_EXISTS = "qualification_exists";
    RECORD_MOVES = "record_moves";
    RECORD_REDRAW = "record_redraw";
    RECORD_UNDO = "record_undo";
    REDRAWN_UNITS = "redrawn_units";
    RELEASE_LEASE = "release_lease";
    REPORTS_OF_NIGHT = "reports_of_night";
    REPORTS_TO_CHECK = "reports_to_check";
    REPORT_OF_RUN = "report_of_run";
    RESTATE_COHORT = "restate_cohort";
    RESTATE_DAY = "restate_day";
    RETIRE_VARIANT = "retire_variant";
    ROUTE_NOTES_OF = "route_notes_of";
    ROLLOUTS_OF = "rollouts_of";
    RULES_BY_DIGEST = "rules_by_digest";
    RUNS_SINCE = "runs_since";
    SAVE_COHORT = "save_cohort";
    SAVE_DAY = "save_day";
    SAVE_PROGRESS = "save_progress";
    SET_EXPERIMENT_STATUS = "set_experiment_status";
    SETTLED_LATE = "settled_late";
    SET_POLICY_VERSION_STATUS = "set_policy_version_status";
    SET_PROMPT_VERSION_STATUS = "set_prompt_version_status";
    STANDING_OF_MOVES = "standing_of_moves";
    START_RUN = "start_run";
    SUM_ALLOCATIONS = "sum_allocations";
    SWEEPS_OF_DECISION = "sweeps_of_decision";
    TELL_INCIDENT = "tell_incident";
    TELL_ROUTE_NOTE = "tell_route_note";
    UNDO_BATCH = "undo_batch";
    UNITS_BY_VARIANT = "units_by_variant";
    UNTOLD_REPORTS = "untold_reports";
    VARIANT_EXISTS = "variant_exists";
    VARIANT_NAME = "variant_name";
    VARIANTS_OF = "variants_of";
    WRITE_ROLLOUT = "write_rollout";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_gets_tables_without_schema_and_values_without_casts() {
        let sql = to_sqlite("SELECT a FROM exp.variants v WHERE id = $1::uuid AND b = $2::timestamptz FOR UPDATE");
        assert_eq!(sql, "SELECT a FROM exp_variants v WHERE id = $1 AND b = $2");
        let sql = to_sqlite("unit_id IN (SELECT value FROM json_array_elements_text($1::json))");
        assert_eq!(sql, "unit_id IN (SELECT value FROM json_each($1))");
    }
}
