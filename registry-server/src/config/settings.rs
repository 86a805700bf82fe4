//! What one source of settings says: everything optional.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    ConfigError, IssuerSettings, LimitSettings, LoginSettings, MirrorSettings, RateSettings, StoreSettings,
    TlsSettings, keys,
};

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The settings of one source.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address to listen on; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "HUB_SERVER_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// File that receives the address once the server listens
    #[arg(long, global = true, env = "HUB_SERVER_PORT_FILE", value_name = "FILE")]
    pub port_file: Option<PathBuf>,
    /// Folder of the embedded database and of the files [default: .data]
    #[arg(long, global = true, env = "HUB_SERVER_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Database other than the embedded one, as in `postgres://user@host/name`
    #[arg(long, global = true, env = "HUB_SERVER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Where files lie other than in the data folder, as in `s3://bucket/prefix`
    #[arg(long, global = true, env = "HUB_SERVER_STORAGE_URL", value_name = "URL")]
    pub storage_url: Option<String>,
    /// How to reach an S3 bucket.
    #[command(flatten)]
    pub s3: StoreSettings,
    /// Ending TLS here.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Seconds that requests in flight get to finish when the server stops [default: 25]
    #[arg(long, global = true, env = "HUB_SERVER_SHUTDOWN_SECONDS", value_name = "N")]
    pub shutdown_seconds: Option<u64>,
    /// Whether `serve` also does the work of `hub-server worker` [default: true]
    #[arg(long, global = true, env = "HUB_SERVER_RUN_JOBS", value_name = "BOOL")]
    pub run_jobs: Option<bool>,
    /// Seconds that nothing must have referred to a file before it is removed [default: a day]
    #[arg(long, global = true, env = "HUB_SERVER_GARBAGE_DELAY_SECONDS", value_name = "N")]
    pub garbage_delay_seconds: Option<u64>,
    /// Whether webhooks may lead inside the network, and need no TLS [default: false]
    #[arg(long, global = true, env = "HUB_SERVER_WEBHOOKS_ANYWHERE", value_name = "BOOL")]
    pub webhooks_anywhere: Option<bool>,
    /// Whether everything that would change the registry is refused [default: false]
    #[arg(long, global = true, env = "HUB_SERVER_READ_ONLY", value_name = "BOOL")]
    pub read_only: Option<bool>,
    /// How the log looks [default: text]
    #[arg(long, global = true, env = "HUB_SERVER_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// OpenTelemetry collector that `serve` and `worker` export traces to, as in `http://collector:4318`
    #[arg(long, global = true, env = "HUB_SERVER_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<Url>,
    /// Other registries whose adapters are fetched when somebody asks for them.
    #[arg(skip)]
    pub mirrors: Vec<MirrorSettings>,
    /// Whose identity tokens are exchanged for tokens of this registry.
    #[arg(skip)]
    pub issuers: Vec<IssuerSettings>,
    /// The identity providers by whose word people log in.
    #[arg(skip)]
    pub logins: Vec<LoginSettings>,
    /// How large things may be.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// How often users and addresses may ask.
    #[command(flatten)]
    pub rates: RateSettings,
}

impl Settings {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let refuse = |e: toml::de::Error| ConfigError::Parse { path: path.to_owned(), reason: e.to_string() };
        // First the keys: the parser's own message knows no nearest one.
        let table: toml::Table = toml::from_str(&text).map_err(refuse)?;
        let known: Vec<String> =
            keys::all().into_iter().map(|key| key.path).chain(keys::of_tables()).collect();
        if let Some(key) = keys::in_file(&table).into_iter().find(|key| !known.contains(key)) {
            let nearest = hub_schemas::nearest(&key, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(ConfigError::UnknownKey { path: path.to_owned(), key, nearest });
        }
        toml::from_str(&text).map_err(refuse)
    }

    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            port_file: self.port_file.or(other.port_file),
            data: self.data.or(other.data),
            database_url: self.database_url.or(other.database_url),
            storage_url: self.storage_url.or(other.storage_url),
            s3: self.s3.or(other.s3),
            tls: self.tls.or(other.tls),
            shutdown_seconds: self.shutdown_seconds.or(other.shutdown_seconds),
            run_jobs: self.run_jobs.or(other.run_jobs),
            garbage_delay_seconds: self.garbage_delay_seconds.or(other.garbage_delay_seconds),
            webhooks_anywhere: self.webhooks_anywhere.or(other.webhooks_anywhere),
            read_only: self.read_only.or(other.read_only),
            log_format: self.log_format.or(other.log_format),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            mirrors: if self.mirrors.is_empty() { other.mirrors } else { self.mirrors },
            issuers: if self.issuers.is_empty() { other.issuers } else { self.issuers },
            logins: if self.logins.is_empty() { other.logins } else { self.logins },
            limits: self.limits.or(other.limits),
            rates: self.rates.or(other.rates),
        }
    }
}
