//! Listening, and stopping without dropping anybody.

use std::{future::Future, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{net::TcpListener, sync::watch, time};

use crate::{
    app::{App, StartError},
    config::Config,
    lock::FolderLock,
    router::router,
    worker::Jobs,
};

/// Why the server can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Database or files.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The port file.
    #[error("can't write the port file `{path}`: {source}")]
    PortFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Anything else.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
}

/// A registry that listens but does not serve yet.
#[derive(Debug)]
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    shutdown_timeout: Duration,
    pull_flush: Duration,
    run_jobs: bool,
    _lock: FolderLock,
}

impl Server {
    /// Opens the registry and binds the address.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let lock = FolderLock::take(config)?;
        let app = App::open(config).await?;
        app.check_identity().await?;
        app.recover_pulls().await;
        let refuse = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
        let address = listener.local_addr()?;
        if let Some(path) = &config.port_file {
            write_port_file(path, address)
                .map_err(|source| ServeError::PortFile { path: path.clone(), source })?;
        }
        Ok(Self {
            app,
            listener,
            address,
            shutdown_timeout: config.shutdown_timeout,
            pull_flush: config.pull_flush,
            run_jobs: config.run_jobs,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The registry behind it.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `stop` is done; then requests in flight get their time to finish.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        tracing::info!(server.address = %self.address, "Listening on http://{}", self.address);
        let (stopping, stopped) = watch::channel(false);
        let flusher = tokio::spawn(flush_regularly(self.app.clone(), self.pull_flush));
        let jobs = self.run_jobs.then(|| Jobs::start(&self.app));
        let signal = async move {
            stop.await;
            tracing::info!("Stopping: requests in flight may finish");
            stopping.send_replace(true);
        };
        let serving = axum::serve(
            self.listener,
            router(self.app.clone()).into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(signal);
        let outcome = tokio::select! {
            outcome = async { serving.await } => outcome,
            () = deadline(stopped, self.shutdown_timeout) => {
                tracing::warn!("Stopped with requests still in flight after {:?}", self.shutdown_timeout);
                Ok(())
            }
        };
        flusher.abort();
        if let Some(jobs) = jobs {
            jobs.stop(self.shutdown_timeout).await;
        }
        self.app.close().await;
        tracing::info!("Stopped");
        Ok(outcome?)
    }
}

/// Done when `timeout` has passed after the signal to stop.
async fn deadline(mut stopped: watch::Receiver<bool>, timeout: Duration) {
    if stopped.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    time::sleep(timeout).await;
}

async fn flush_regularly(app: App, every: Duration) {
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.flush_pulls().await;
    }
}

/// Whoever waits for the file finds the whole address in it, or nothing.
fn write_port_file(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, format!("{address}\n"))?;
    std::fs::rename(&beside, path)
}
