//! Being asked to stop: SIGTERM, as service managers send it, and SIGINT, as a terminal does.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, listened for from now on.
pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen; until then the signals end the process at once.
    pub(super) fn listen() -> std::io::Result<StopSignal> {
        Ok(StopSignal { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(super) async fn wait(mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::warn!("{name}: stopping; what is committed stays, and the lease is given back");
    }
}
