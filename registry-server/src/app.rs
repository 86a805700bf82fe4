//! What every request shares.

use std::{ops::Deref, sync::Arc, time::Duration};

use hub_schemas::name::Namespace;

use crate::{
    config::Config,
    db::{Db, OpenError, mirrored},
    domain::publish::Limits,
    mirror::Mirrors,
    oidc::{Issuers, Logins},
    service::{ClockWatch, Limiter, PullCounter, identity, passwords::Passwords},
    storage::Storage,
    telemetry::Telemetry,
};

/// The registry without its HTTP face. One pointer: every layer around every request holds a clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] points to.
#[derive(Debug)]
pub struct Parts {
    pub(crate) db: Db,
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
    pub(crate) read_only: bool,
    /// How clients speak with this process.
    pub(crate) scheme: &'static str,
    pub(crate) redirect_from: Option<u64>,
    pub(crate) garbage_delay: Duration,
    pub(crate) mirrors: Mirrors,
    pub(crate) issuers: Issuers,
    pub(crate) logins: Logins,
    pub(crate) telemetry: Telemetry,
    pub(crate) pulls: PullCounter,
    pub(crate) limiter: Limiter,
    pub(crate) passwords: Passwords,
    pub(crate) clock: ClockWatch,
    /// Webhooks may lead inside the network, and need no TLS.
    pub(crate) webhooks_anywhere: bool,
}

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why the registry can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder for database and files can't be made or written.
    #[error("can't use the data folder `{path}`: {reason}")]
    Data {
        /// The folder.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Whether the storage is this registry's can't be said.
    #[error("can't compare database and storage: {0}")]
    Identity(String),
    /// The storage is another registry's.
    #[error(
        "the storage belongs to the registry `{found}`, the database to `{ours}`; use the storage of this \
         database, or an empty one"
    )]
    OtherRegistry {
        /// The database's identifier.
        ours: String,
        /// The storage's.
        found: String,
    },
    /// Another process uses the data folder.
    #[error(
        "the data folder `{path}` is in use by the process {process}; an embedded database has one server, \
         which also does the work of `hub-server worker`"
    )]
    Locked {
        /// The folder.
        path: std::path::PathBuf,
        /// Who uses it.
        process: String,
    },
    /// A mirrored registry can't even be asked.
    #[error("can't set up the mirrors: {0}")]
    Mirror(String),
    /// An issuer of identity tokens can't even be asked.
    #[error("can't set up the issuers: {0}")]
    Issuer(String),
    /// A namespace that would come from two places.
    #[error(
        "the namespace `{0}` belongs to somebody here, so it can't be mirrored; take it out of `mirrors.namespaces`"
    )]
    MirroredNamespace(Namespace),
    /// Something that changes the registry, where its settings forbid that.
    #[error("the registry is read-only; `read_only = false` in its settings ends that")]
    ReadOnly,
}

impl App {
    /// Opens database and files. The embedded database is migrated; any other one
    /// is when its operator says so (`hub-server migrate`).
    pub async fn open(config: &Config) -> Result<Self, StartError> {
        let refuse = |reason: &dyn std::fmt::Display| StartError::Data {
            path: config.data.clone(),
            reason: reason.to_string(),
        };
        std::fs::create_dir_all(&config.data).map_err(|e| refuse(&e))?;
        let storage = Storage::open(&config.storage, &config.data.join("files")).map_err(|e| refuse(&e))?;
        let db = open_database(config).await?;
        match config.database_url {
            None if !config.read_only => db.migrate().await?,
            _ => db.require_current().await?,
        }
        let issuers = Issuers::new(&config.issuers).map_err(|e| StartError::Issuer(e.to_string()))?;
        let logins = Logins::new(&config.logins).map_err(|e| StartError::Issuer(e.to_string()))?;
        let mirrors = Mirrors::new(&config.mirrors).map_err(|e| StartError::Mirror(e.to_string()))?;
        for namespace in config.mirrors.iter().flat_map(|mirror| &mirror.namespaces) {
            if mirrored::is_taken(&db, namespace).await.map_err(OpenError::Connect)? {
                return Err(StartError::MirroredNamespace(namespace.clone()));
            }
        }
        Ok(Self(Arc::new(Parts {
            mirrors,
            issuers,
            logins,
            db,
            storage,
            limits: config.limits,
            read_only: config.read_only,
            scheme: if config.tls.is_some() { "https" } else { "http" },
            redirect_from: config.redirect_from,
            garbage_delay: config.garbage_delay,
            telemetry: Telemetry::new(),
            pulls: PullCounter::new(config.data.join("pulls")),
            limiter: Limiter::new(config.rates),
            passwords: Passwords::default(),
            clock: ClockWatch::default(),
            webhooks_anywhere: config.webhooks_anywhere,
        })))
    }

    /// Brings the schema of any database up to this version.
    pub async fn migrate(config: &Config) -> Result<(), StartError> {
        if config.read_only {
            return Err(StartError::ReadOnly);
        }
        std::fs::create_dir_all(&config.data)
            .map_err(|e| StartError::Data { path: config.data.clone(), reason: e.to_string() })?;
        let db = open_database(config).await?;
        db.migrate().await?;
        db.close().await;
        Ok(())
    }

    /// Refuses a storage that belongs to another registry.
    pub async fn check_identity(&self) -> Result<(), StartError> {
        identity::check(self).await
    }

    /// Counts the pulls that a killed process had not written down.
    pub(crate) async fn recover_pulls(&self) {
        match self.pulls.recover(&self.db).await {
            Ok(0) => {}
            Ok(found) => {
                tracing::info!(pulls.count = found, "Counted {found} pulls of a server that was killed");
            }
            Err(error) => {
                tracing::warn!(%error, "Could not count the pulls of a server that was killed; they are kept: {error}");
            }
        }
    }

    /// Writes counted pulls down now.
    pub async fn flush_pulls(&self) {
        self.telemetry.upkeep();
        if let Err(error) = self.pulls.flush(&self.db).await {
            tracing::warn!(%error, "Could not write down counted pulls; they are kept in memory: {error}");
        }
    }

    /// Writes down what is in memory and closes the database.
    pub async fn close(&self) {
        self.flush_pulls().await;
        self.db.close().await;
    }
}

async fn open_database(config: &Config) -> Result<Db, OpenError> {
    match &config.database_url {
        Some(url) => Db::open(url).await,
        None => Db::open(&Db::embedded_url(&config.data)).await,
    }
}
