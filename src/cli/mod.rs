//! The command line: arguments, connections, output, exit codes.

mod acts;
mod address;
mod analyze;
mod check;
mod connect;
mod demo;
mod enroll;
mod experiments;
mod explain;
mod freeze_thresholds;
mod history;
mod metabase;
mod migrate;
mod mlflow;
mod named;
mod night;
mod output;
mod policy;
mod prompts;
mod pulse;
mod qualify;
mod remake;
mod replay;
mod report;
mod schema;
mod serve;
mod shown;
mod simulate;
mod status;
mod stop;
mod sync;
mod undo;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;
use crate::control::ControlError;
use crate::night::NightError;

/// Ramps, promotes, holds or rolls back model candidates by itself, from evidence that stays valid under nightly looking.
#[derive(Debug, Parser)]
#[command(name = "rampkeeper", version, max_term_width = 110, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Global {
    /// The main configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "config/rampkeeper.yml",
        env = "RAMPKEEPER_CONFIG"
    )]
    pub(super) config: PathBuf,
    /// The day that the evidence speaks about, such as 2026-03-31; yesterday (UTC) unless told.
    #[arg(long, global = true, value_name = "DATE")]
    pub(super) as_of: Option<Date>,
    /// How results are written to standard output.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub(super) output: OutputFormat,
    /// How logs are written to standard error. RAMPKEEPER_LOG sets what is logged, such as `debug`.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// The time that the run believes it is, for catching up and for tests; the clock unless told.
    #[arg(long, global = true, value_name = "TIMESTAMP", hide_short_help = true)]
    pub(super) now: Option<Timestamp>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// Tables for people.
    Text,
    /// One JSON document with a schema_version.
    Json,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Live through a made-up world with known truth, night by night, and compare the outcomes with it.
    Demo(demo::DemoArguments),
    /// Create or update the tables of the control store.
    ///
    /// Existing experiment tables are left as they are. Example: rampkeeper migrate --config config/rampkeeper.yml
    Migrate,
    /// Show what `run` would do, and change nothing.
    ///
    /// Example: rampkeeper plan --as-of 2026-03-31 --detailed-exitcode
    Plan {
        /// End with 2 if something would change.
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Decide, act and report, once. What cron and Kubernetes call.
    ///
    /// Repeated for the same day and the same data, it changes nothing and sends nothing. Example: rampkeeper run
    Run,
    /// Let a candidate go on that waits for an approval.
    ///
    /// Example: rampkeeper approve 3f6c2a1b --by ana --reason discussed
    Approve(acts::AnswerArguments),
    /// Keep a candidate where it is that waits for an approval.
    ///
    /// Example: rampkeeper reject 3f6c2a1b --by ana --reason later
    Reject(acts::AnswerArguments),
    /// Stop ramps and promotions of a candidate, an experiment or everything. Proven harm is still rolled back.
    ///
    /// Example: rampkeeper hold checkout_ranker_exp --until 2026-04-02 --by ana --reason audit
    Hold(acts::HoldArguments),
    /// Lift what `hold` stopped.
    ///
    /// Example: rampkeeper resume checkout_ranker_exp --by ana --reason done
    Resume(acts::ResumeArguments),
    /// Take a candidate off now, on the evidence that is stored; the arm stays closed.
    ///
    /// Example: rampkeeper rollback checkout_ranker_exp/ranker_v7 --by ana --reason complaints
    Rollback(acts::RollbackArguments),
    /// Policies, and the model versions behind theirs.
    #[command(subcommand, alias = "policies")]
    Policy(policy::PolicyCommand),
    /// Experiments, and the variants that they begin with.
    #[command(subcommand, alias = "experiment")]
    Experiments(experiments::ExperimentsCommand),
    /// Prompts, and the files behind their versions.
    #[command(subcommand, alias = "prompt")]
    Prompts(prompts::PromptsCommand),
    /// Hold a version's offline results against its baseline's, and mark it as a candidate if it passes.
    Qualify(qualify::QualifyArguments),
    /// Let a qualified version into its experiment, at 10 % at most; the others shrink in proportion.
    Enroll(enroll::EnrollArguments),
    /// Take exceedance thresholds from the days before an experiment, and write them into metrics.yml for good.
    FreezeThresholds(freeze_thresholds::FreezeArguments),
    /// Run the night on the schedule of the configuration until stopped.
    ///
    /// Example: rampkeeper serve --config config/rampkeeper.yml
    Serve,
    /// Take the units that a decision moved back to the arms that they came from.
    ///
    /// Units that were moved or assigned anew since stay where they are, and are counted. Repeated, it changes nothing.
    UndoMoves(undo::UndoArguments),
    /// Measure a policy's error rates and power: run made-up experiments through the code that decides real ones.
    Simulate(simulate::SimulateArguments),
    /// Check everything that a night relies on, say how to mend what is wrong, and change nothing.
    ///
    /// Ends with 1 if something would keep a night from its work. Example: rampkeeper check --only mail,registry
    Check(check::CheckArguments),
    /// Judge a CSV or Parquet file of your own: lifts, intervals, evidence and verdicts.
    Analyze(analyze::AnalyzeArguments),
    /// Show where every candidate stands, what it waits for, and what is in force; change nothing.
    Status(status::StatusArguments),
    /// Show what happened to an experiment, night by night.
    History(history::HistoryArguments),
    /// Explain a decision: every input, bound and reason; with --flip, what would have changed it.
    Explain(explain::ExplainArguments),
    /// Make a stored night again from its stored moments; it must give the stored decisions.
    Replay(replay::ReplayArguments),
    /// Show a recorded night again, write all of them as pages, or send a night's mail once more.
    Report(report::ReportArguments),
    /// Check the ledger: the chain of hashes, and every decision made again.
    Verify(verify::VerifyArguments),
    /// Push dashboards to Metabase, or write them out as files.
    Metabase(metabase::MetabaseArguments),
    /// Write the JSON Schema of the configuration files.
    Schema(schema::SchemaArguments),
    /// Write a completion script for a shell.
    ///
    /// Example: rampkeeper completions bash > /etc/bash_completion.d/rampkeeper
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const EXIT_CODES: &str = "Exit codes:
  0   done, holds and rollbacks included
  1   the run failed as a whole, or was stopped; run it again, it goes on where it stopped
  2   changes are pending (plan --detailed-exitcode only)
  3   at least one experiment could not be evaluated or applied, tonight or when this night was decided before,
      or something is not as it was decided; replay and verify: what is stored is not whole, or comes out otherwise
  4   decided and applied, but a follow-up (registry, mail, page) is still to be done
  64  usage
  75  another run holds the lease
  78  the configuration is invalid";

/// How long the end of the process waits for what is still at work.
const END_WITHIN: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    ChangesPending = 2,
    Partial = 3,
    FollowUpPending = 4,
    Usage = 64,
    LeaseHeld = 75,
    ConfigInvalid = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Parses the arguments, carries out the command and names the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let told = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) && told.is_ok();
            return if asked { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    start_logging(&arguments);
    keep_no_core();
    crate::registry::install_crypto_provider();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start the runtime: {error}");
            return Exit::Failed.into();
        }
    };
    let format = arguments.global.log_format;
    let ended = runtime.block_on(carry_out(arguments));
    // A file of the lake that is still being read must not hold up the end.
    runtime.shutdown_timeout(END_WITHIN);
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => tell(&error, format).into(),
    }
}

async fn carry_out(arguments: Arguments) -> anyhow::Result<Exit> {
    let global = arguments.global;
    match arguments.command {
        Command::Demo(demo) => demo::demo(&demo, global.output).await,
        Command::Migrate => migrate::migrate(&global).await,
        Command::Plan { detailed_exitcode } => night::plan(&global, detailed_exitcode).await,
        Command::Run => night::run(&global).await,
        Command::Approve(arguments) => acts::answer(&global, &arguments, true).await,
        Command::Reject(arguments) => acts::answer(&global, &arguments, false).await,
        Command::Hold(arguments) => acts::hold(&global, &arguments).await,
        Command::Resume(arguments) => acts::resume(&global, &arguments).await,
        Command::Rollback(arguments) => acts::rollback(&global, &arguments).await,
        Command::Policy(command) => policy::policy(&global, &command).await,
        Command::Experiments(command) => experiments::experiments(&global, &command).await,
        Command::Prompts(command) => prompts::prompts(&global, &command).await,
        Command::Qualify(arguments) => qualify::qualify(&global, &arguments).await,
        Command::Enroll(arguments) => enroll::enroll(&global, &arguments).await,
        Command::FreezeThresholds(arguments) => freeze_thresholds::freeze(&arguments, &global).await,
        Command::Serve => serve::serve(&global).await,
        Command::UndoMoves(arguments) => undo::undo_moves(&arguments, &global).await,
        Command::Simulate(arguments) => simulate::simulate_cli(&arguments, &global),
        Command::Check(arguments) => check::check(&global, &arguments).await,
        Command::Analyze(arguments) => analyze::run(arguments, global.output).await,
        Command::Status(arguments) => status::status(&arguments, &global).await,
        Command::History(arguments) => history::history(&arguments, &global).await,
        Command::Explain(arguments) => explain::explain(&arguments, &global).await,
        Command::Replay(arguments) => replay::replay(&arguments, &global).await,
        Command::Report(arguments) => report::report(&arguments, &global).await,
        Command::Verify(arguments) => verify::verify(&arguments, &global).await,
        Command::Metabase(arguments) => metabase::metabase(&arguments, global.output).await,
        Command::Schema(arguments) => schema::schema(&arguments, global.output),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "rampkeeper", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

/// A dump of the memory would hold every password.
fn keep_no_core() {
    if let Err(error) = rlimit::Resource::CORE.set(0, 0) {
        tracing::warn!(%error, "core dumps could not be switched off; one would hold passwords");
    }
}

/// Logs go to standard error; results go to standard output.
fn start_logging(arguments: &Arguments) {
    let quiet = matches!(arguments.command, Command::Demo(_));
    let otherwise = if quiet { "error" } else { "warn,usvg=error,rampkeeper=info" };
    let filter = EnvFilter::try_from_env("RAMPKEEPER_LOG").unwrap_or_else(|_| EnvFilter::new(otherwise));
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false);
    match arguments.global.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => {
            use std::io::IsTerminal;
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).init();
        }
    }
}

/// Tells an error with its causes, once, in the form of the logs, and names its exit code.
fn tell(error: &anyhow::Error, format: LogFormat) -> Exit {
    if let Some(ConfigError(faults)) = error.downcast_ref::<ConfigError>() {
        match format {
            LogFormat::Text => eprint!("error: {error}"),
            LogFormat::Json => faults.iter().for_each(|fault| tracing::error!("{fault}")),
        }
        return exit_of_error(error);
    }
    let mut told = vec![error.to_string()];
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // An error that speaks for its cause has told it already.
        if !told.iter().any(|before| before.ends_with(&cause)) {
            told.push(cause);
        }
    }
    // A cause may repeat what stands in a table.
    let told: Vec<String> =
        told.iter().map(|told| told.lines().map(shown::plain).collect::<Vec<_>>().join("\n")).collect();
    match format {
        LogFormat::Text => eprintln!("error: {}", told.join("\n  because: ")),
        LogFormat::Json => tracing::error!("{}", told.join(": ")),
    }
    exit_of_error(error)
}

/// The exit code that an error ends with.
fn exit_of_error(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<ConfigError>().is_some() {
        return Exit::ConfigInvalid;
    }
    match error.downcast_ref::<NightError>() {
        Some(NightError::Control(ControlError::LeaseHeld { .. })) => Exit::LeaseHeld,
        _ => Exit::Failed,
    }
}

/// The clock is read here and nowhere else; from here on time is a value.
#[expect(clippy::disallowed_methods, reason = "the one place where the present time enters")]
pub(super) fn now(global: &Global) -> Timestamp {
    global.now.unwrap_or_else(Timestamp::now)
}

/// The day that is asked about: the one given, or the last that is over.
pub(super) fn as_of(global: &Global, now: Timestamp) -> Date {
    use jiff::ToSpan;
    global.as_of.unwrap_or_else(|| now.to_zoned(jiff::tz::TimeZone::UTC).date().saturating_sub(1.days()))
}
