//! Settings. For each, the first of these that is there wins: flag, environment
//! variable, key of the file given by `--config`, default.
//!
//! clap does flags and variables; a [`Settings`] holds whatever one source says, and
//! [`Config::resolve`] puts them on top of each other. [`Sources`] remember who said
//! what, for `hub-server config`.

mod environment;
mod issuer;
mod keys;
mod limits;
mod login;
mod mirror;
mod rates;
mod settings;
mod source;
mod store;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use issuer::{IssuerConfig, IssuerSettings};
pub use limits::LimitSettings;
pub use login::{LoginConfig, LoginSettings};
pub use mirror::{MirrorConfig, MirrorKind, MirrorSettings};
pub use rates::RateSettings;
pub use settings::{LogFormat, Settings};
pub use source::{Effective, Source, Sources};
pub use store::StoreSettings;
pub use tls::{TlsFiles, TlsSettings};

use url::Url;

use crate::{
    domain::{publish::Limits, rate::Rates},
    storage::{Location, LocationError},
};

/// Only this machine: a registry is opened to a network on purpose.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_DATA: &str = ".data";
/// A chunk of 16 MiB takes this long at 5 Mbit/s.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(25);
/// Often enough for people, seldom enough to be one small transaction.
const DEFAULT_FLUSH: Duration = Duration::from_secs(10);
/// Longer than any push takes from its first file to its manifest.
const DEFAULT_GARBAGE_DELAY: Duration = Duration::from_hours(24);

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file has a key that is no setting.
    #[error("the configuration file `{path}` has the unknown key `{key}`")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, its table before it.
        key: String,
        /// What it probably should be.
        nearest: Option<String>,
    },
    /// A variable that looks like a setting and is none.
    #[error("the environment has the unknown variable `{name}`")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// What it probably should be.
        nearest: Option<String>,
    },
    /// The file is not what it should be.
    #[error("the configuration file `{path}` is wrong: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// The storage URL.
    #[error(transparent)]
    Storage(#[from] LocationError),
    /// One of two settings that only mean something together.
    #[error(
        "only one of the key id and the secret for S3 is set; set both, or neither for the environment's own"
    )]
    HalfAKey,
    /// A registry that is to be mirrored.
    #[error("{0}")]
    Mirror(String),
    /// An issuer of identity tokens.
    #[error("{0}")]
    Issuer(String),
    /// A collector that does not speak HTTP, as the address has it.
    #[error("`otlp_endpoint` begins with `{0}:`; it must begin with `http://` or `https://`")]
    Collector(String),
    /// One of the two files that TLS takes.
    #[error("only one of the certificate and the key for TLS is set; set both, or neither for plain HTTP")]
    HalfOfTls,
}

impl ConfigError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { nearest: Some(key), .. }
            | Self::UnknownVariable { nearest: Some(key), .. } => Some(format!("did you mean `{key}`?")),
            Self::UnknownKey { .. } | Self::UnknownVariable { .. } => {
                Some("`hub-server config` lists every setting".to_owned())
            }
            _ => None,
        }
    }
}

/// Everything the server needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where it writes the address it got, once it listens.
    pub port_file: Option<PathBuf>,
    /// Folder of the embedded database and of the files.
    pub data: PathBuf,
    /// Another database than the embedded one.
    pub database_url: Option<String>,
    /// Where files lie.
    pub storage: Location,
    /// Files from this size on are fetched from the store itself, and sent there, where it can do that.
    pub redirect_from: Option<u64>,
    /// How long requests in flight may take to finish after a signal to stop.
    pub shutdown_timeout: Duration,
    /// How often counted pulls are written down.
    pub pull_flush: Duration,
    /// Whether this process also does jobs.
    pub run_jobs: bool,
    /// How long nothing must have referred to a file before it is removed.
    pub garbage_delay: Duration,
    /// Whether everything that would change the registry is refused.
    pub read_only: bool,
    /// The certificate with which TLS ends here.
    pub tls: Option<TlsFiles>,
    /// Other registries whose adapters are fetched when somebody asks for them.
    pub mirrors: Vec<MirrorConfig>,
    /// Whose identity tokens are exchanged for tokens of this registry.
    pub issuers: Vec<IssuerConfig>,
    /// The identity providers by whose word people log in.
    pub logins: Vec<LoginConfig>,
    /// How large things may be.
    pub limits: Limits,
    /// How often users and addresses may ask.
    pub rates: Rates,
    /// Whether webhooks may lead inside the network, and need no TLS.
    pub webhooks_anywhere: bool,
    /// How the log looks.
    pub log_format: LogFormat,
    /// The collector to which traces are exported.
    pub otlp_endpoint: Option<Url>,
}

impl Config {
    /// Puts `given` (flags and variables) on top of the file it names and the defaults.
    pub fn resolve(given: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::explained(given, Sources::default(), file).map(|(config, _)| config)
    }

    /// The same, and who decided on each setting; `sources` are those of `given`.
    pub fn explained(
        given: Settings,
        mut sources: Sources,
        file: Option<&Path>,
    ) -> Result<(Self, Sources), ConfigError> {
        environment::refuse_unknown(
            std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()),
        )?;
        let read = file.map(Settings::read).transpose()?.unwrap_or_default();
        if let Some(path) = file {
            sources.add_file(path, &read);
        }
        Ok((Self::layered(given.or(read))?, sources))
    }

    /// Every setting as it is in effect, secrets hidden.
    pub fn effective(&self, sources: &Sources) -> Vec<Effective> {
        source::effective(&self.settings(), sources)
    }

    /// The defaults, with everything below `data`.
    pub fn embedded(data: &Path) -> Self {
        let settings = Settings { data: Some(data.to_owned()), ..Settings::default() };
        Self::at(Location::Files, settings)
    }

    fn layered(settings: Settings) -> Result<Self, ConfigError> {
        let storage = settings.s3.clone().location(settings.storage_url.as_deref())?;
        let tls = settings.tls.clone().files()?;
        let collector = settings.otlp_endpoint.as_ref().map(Url::scheme);
        if let Some(other) = collector.filter(|scheme| !["http", "https"].contains(scheme)) {
            return Err(ConfigError::Collector(other.to_owned()));
        }
        let mirrors = MirrorSettings::resolve(&settings.mirrors)?;
        let issuers = IssuerSettings::resolve(&settings.issuers)?;
        let logins = LoginSettings::resolve(&settings.logins, &issuers)?;
        Ok(Self { tls, mirrors, issuers, logins, ..Self::at(storage, settings) })
    }

    /// The settings that make this configuration.
    fn settings(&self) -> Settings {
        let Config { storage, limits, .. } = self;
        let storage_url = match storage {
            Location::Files => None,
            Location::S3(s3) if s3.prefix.is_empty() => Some(format!("s3://{}", s3.bucket)),
            Location::S3(s3) => Some(format!("s3://{}/{}", s3.bucket, s3.prefix)),
        };
        Settings {
            listen: Some(self.listen),
            port_file: self.port_file.clone(),
            data: Some(self.data.clone()),
            database_url: self.database_url.clone(),
            storage_url,
            s3: StoreSettings::of(storage, self.redirect_from),
            tls: self.tls.clone().into(),
            shutdown_seconds: Some(self.shutdown_timeout.as_secs()),
            run_jobs: Some(self.run_jobs),
            garbage_delay_seconds: Some(self.garbage_delay.as_secs()),
            read_only: Some(self.read_only),
            log_format: Some(self.log_format),
            otlp_endpoint: self.otlp_endpoint.clone(),
            mirrors: self.mirrors.iter().map(MirrorSettings::from).collect(),
            issuers: self.issuers.iter().map(IssuerSettings::from).collect(),
            logins: self.logins.iter().map(LoginSettings::from).collect(),
            limits: LimitSettings {
                max_file_bytes: Some(limits.max_file_bytes),
                max_version_bytes: Some(limits.max_version_bytes),
                max_base_bytes: Some(limits.max_base_bytes),
            },
            rates: self.rates.into(),
            webhooks_anywhere: Some(self.webhooks_anywhere),
        }
    }

    fn at(storage: Location, settings: Settings) -> Self {
        let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        Self {
            listen: settings.listen.unwrap_or(DEFAULT_LISTEN),
            port_file: settings.port_file,
            data: settings.data.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA)),
            database_url: settings.database_url,
            storage,
            redirect_from: settings.s3.redirect_from(),
            shutdown_timeout: seconds(settings.shutdown_seconds, DEFAULT_SHUTDOWN),
            pull_flush: DEFAULT_FLUSH,
            run_jobs: settings.run_jobs.unwrap_or(true),
            garbage_delay: seconds(settings.garbage_delay_seconds, DEFAULT_GARBAGE_DELAY),
            read_only: settings.read_only.unwrap_or_default(),
            tls: None,
            mirrors: Vec::new(),
            issuers: Vec::new(),
            logins: Vec::new(),
            limits: settings.limits.resolve(),
            rates: settings.rates.resolve(),
            webhooks_anywhere: settings.webhooks_anywhere.unwrap_or_default(),
            log_format: settings.log_format.unwrap_or_default(),
            otlp_endpoint: settings.otlp_endpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hub.toml");
        std::fs::write(
            &path,
            "listen = \"127.0.0.1:1\"\ndata = \"from-file\"\n[limits]\nmax_file_bytes = 7\n",
        )
        .expect("writes");
        let given = Settings { data: Some("from-flag".into()), ..Settings::default() };
        let config = Config::resolve(given, Some(&path)).expect("resolves");
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.data, Path::new("from-flag"));
        assert_eq!(config.limits.max_file_bytes, 7);
        assert_eq!(config.shutdown_timeout, DEFAULT_SHUTDOWN);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hub.toml");
        std::fs::write(&path, "lissten = \"127.0.0.1:1\"\n").expect("writes");
        let error = Config::resolve(Settings::default(), Some(&path)).expect_err("unknown key");
        assert!(error.to_string().contains("`lissten`"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("did you mean `listen`?"));
        std::fs::write(&path, "[limits]\nmax_file_byte = 1\n").expect("writes");
        let error = Config::resolve(Settings::default(), Some(&path)).expect_err("unknown key");
        assert_eq!(error.hint().as_deref(), Some("did you mean `limits.max_file_bytes`?"));
    }
}
