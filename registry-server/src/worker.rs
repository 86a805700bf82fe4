//! A process that does jobs and serves nobody.

use std::{future::Future, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    app::{App, StartError},
    config::Config,
    jobs,
    lock::FolderLock,
};

/// `hub-server worker`.
#[derive(Debug)]
pub struct Worker {
    app: App,
    shutdown_timeout: Duration,
    _lock: FolderLock,
}

impl Worker {
    /// Opens the registry.
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        if config.read_only {
            return Err(StartError::ReadOnly);
        }
        let lock = FolderLock::take(config)?;
        let app = App::open(config).await?;
        app.check_identity().await?;
        Ok(Self { app, shutdown_timeout: config.shutdown_timeout, _lock: lock })
    }

    /// Does jobs until `stop` is done; then those at hand get their time to finish.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) {
        tracing::info!("Working");
        let jobs = Jobs::start(&self.app);
        stop.await;
        jobs.stop(self.shutdown_timeout).await;
        self.app.close().await;
        tracing::info!("Stopped");
    }
}

/// The jobs of this process.
#[derive(Debug)]
pub(crate) struct Jobs {
    stopping: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Jobs {
    pub(crate) fn start(app: &App) -> Self {
        let (stopping, stop) = watch::channel(false);
        Self { stopping, running: tokio::spawn(jobs::run(app.clone(), stop)) }
    }

    /// Takes no more jobs. One that is not done in time is done again by somebody else.
    pub(crate) async fn stop(mut self, timeout: Duration) {
        self.stopping.send_replace(true);
        if tokio::time::timeout(timeout, &mut self.running).await.is_err() {
            self.running.abort();
        }
    }
}
