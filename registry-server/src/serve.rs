//! Listening, and stopping without dropping anybody.

use std::{future::Future, io, net::SocketAddr, path::Path, time::Duration};

use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use tokio::{net::TcpListener, time};

use crate::{
    app::{App, StartError},
    config::Config,
    lock::FolderLock,
    router::router,
    tls::{HangUp, Tls, TlsError},
    worker::Jobs,
};

/// Whoever connected and says nothing for so long has gone.
const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// The same between requests, longer than clients keep a connection for the next one.
const NEXT_REQUEST: Duration = Duration::from_mins(2);
/// What one connection may hold back in either direction: a thousand slow clients are no gigabyte.
const MAX_BUFFERED: usize = 64 << 10;

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
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    tls: Option<Tls>,
    hang_up: HangUp,
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
        if !config.read_only {
            app.recover_pulls().await;
        }
        let refuse = |source| ServeError::Listen { address: config.listen, source };
        let tls = config.tls.clone().map(|files| Tls::open(files, &app.telemetry)).transpose()?;
        // Before anybody can know that there is a process to send it to.
        let hang_up = HangUp::listen()?;
        let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
        let address = listener.local_addr()?;
        if let Some(path) = &config.port_file {
            write_port_file(path, address)
                .map_err(|source| ServeError::PortFile { path: path.clone(), source })?;
        }
        Ok(Self {
            app,
            listener,
            tls,
            hang_up,
            address,
            shutdown_timeout: config.shutdown_timeout,
            pull_flush: config.pull_flush,
            run_jobs: config.run_jobs && !config.read_only,
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
        let Self { app, listener, tls, hang_up, address, shutdown_timeout, .. } = self;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(server.address = %address, "Listening on {scheme}://{address}");
        let flusher = tokio::spawn(flush_regularly(app.clone(), self.pull_flush));
        let jobs = self.run_jobs.then(|| Jobs::start(&app));
        let handle = Handle::new();
        let stopping = handle.clone();
        let stopper = tokio::spawn(async move {
            stop.await;
            tracing::info!("Stopping: requests in flight may finish");
            stopping.graceful_shutdown(Some(shutdown_timeout));
        });
        let outcome = listen(&app, listener, tls.map(|tls| (tls, hang_up)), handle.clone()).await;
        if handle.connection_count() > 0 {
            tracing::warn!("Stopped with requests still in flight after {shutdown_timeout:?}");
        }
        stopper.abort();
        flusher.abort();
        if let Some(jobs) = jobs {
            jobs.stop(shutdown_timeout).await;
        }
        app.close().await;
        tracing::info!("Stopped");
        Ok(outcome?)
    }
}

/// Answers requests until `handle` says so.
async fn listen(
    app: &App,
    listener: TcpListener,
    tls: Option<(Tls, HangUp)>,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let mut server =
        axum_server::Server::from_listener(listener).handle(handle).first_request_timeout(FIRST_REQUEST);
    server.http_builder().http1().header_read_timeout(NEXT_REQUEST).max_buf_size(MAX_BUFFERED);
    let Some((tls, hang_up)) = tls else { return server.serve(service).await };
    let acceptor = RustlsAcceptor::new(tls.acceptor.clone());
    let keeper = tokio::spawn(tls.keep_current(app.telemetry.clone(), hang_up));
    let outcome = server.acceptor(acceptor).serve(service).await;
    keeper.abort();
    outcome
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
