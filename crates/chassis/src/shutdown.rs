//! The signal to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled at the first SIGTERM or SIGINT; a second one ends the process at once.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let signalled = shutdown.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process, before any tracker"
    )]
    tokio::spawn(async move {
        for exit_code in [None, Some(130)] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            signalled.cancel();
            if let Some(code) = exit_code {
                std::process::exit(code);
            }
        }
    });
    Ok(shutdown)
}
