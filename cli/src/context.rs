//! What every command gets: printer, settings, and the way to wait for requests.

use anyhow::Context as _;

use crate::{failure::Interrupted, interrupt::Interrupts, output::Printer, settings::Settings};

/// What every command gets.
pub(crate) struct Context {
    /// Where words and data go.
    pub(crate) printer: Printer,
    /// What was asked for, by flag, environment, file or default.
    pub(crate) settings: Settings,
    /// What Ctrl-C does.
    pub(crate) interrupts: Interrupts,
    runtime: tokio::runtime::Runtime,
}

impl Context {
    /// One per process.
    pub(crate) fn new(printer: Printer, settings: Settings) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // Requests wait for the network and blobs are hashed on blocking threads.
            .worker_threads(2)
            .enable_all()
            .build()
            .context("can't start the runtime for requests")?;
        let interrupts = Interrupts::listen(&runtime);
        Ok(Self { printer, settings, interrupts, runtime })
    }

    /// Waits for `future`; Ctrl-C drops it and is an error.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(self.interrupts.cancellable(future)).ok_or(Interrupted)?
    }
}
