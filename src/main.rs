//! The command: arguments in, exit code out.

use std::process::ExitCode;

/// A night allocates and frees the cohorts of an experiment a thousand times over, here and inside of SQLite; the system's
/// own allocator gives their pages back to the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rampkeeper::cli::main()
}
