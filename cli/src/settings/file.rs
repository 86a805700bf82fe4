//! Reading the configuration file: every key known, every value of the right kind.

use std::path::{Path, PathBuf};

use url::Url;

use super::{key::UnknownKey, key::parse_color, parse_registry};
use crate::{args::Color, settings::Key};

/// Why the configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It can't be read.
    #[error("can't read the configuration file `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("the configuration file `{path}` is not valid TOML: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// It has a key that means nothing.
    #[error("the configuration file `{path}`: {key}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: UnknownKey,
    },
    /// A value is of the wrong kind.
    #[error("the configuration file `{path}`: `{key}` is wrong: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// What to do about it.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownKey { key, .. } => {
                let mut hints = key.hints();
                hints.push(format!("`hub config unset {}` takes it out of the file", key.0));
                hints
            }
            Self::Value { key, .. } => vec![format!("`hub config unset {key}` takes it out of the file")],
            Self::Syntax { path, .. } => vec![format!("edit or delete `{}`", path.display())],
            Self::Read { .. } => Vec::new(),
        }
    }
}

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    pub(super) registry: Option<Url>,
    pub(super) base: Option<PathBuf>,
    pub(super) backbones: Option<Vec<PathBuf>>,
    pub(super) cache: Option<PathBuf>,
    pub(super) offline: Option<bool>,
    pub(super) color: Option<Color>,
}

impl FileSettings {
    /// Reads the file; one that is not there says nothing, unless somebody named it.
    pub(super) fn read(path: &Path, must_exist: bool) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = toml::from_str(text)
            .map_err(|e| ConfigError::Syntax { path: path.to_owned(), reason: e.message().to_owned() })?;
        let mut settings = Self::default();
        for (name, value) in &table {
            let key: Key =
                name.parse().map_err(|key| ConfigError::UnknownKey { path: path.to_owned(), key })?;
            settings.take(key, value).map_err(|reason| ConfigError::Value {
                path: path.to_owned(),
                key: key.name(),
                reason,
            })?;
        }
        Ok(settings)
    }

    fn take(&mut self, key: Key, value: &toml::Value) -> Result<(), String> {
        match key {
            Key::Registry => self.registry = Some(parse_registry(text(value)?)?),
            Key::Base => self.base = Some(text(value)?.into()),
            Key::Cache => self.cache = Some(text(value)?.into()),
            Key::Color => self.color = Some(parse_color(text(value)?)?),
            Key::Offline => self.offline = Some(value.as_bool().ok_or("it must be `true` or `false`")?),
            Key::Backbones => {
                let folders = value.as_array().ok_or("it must be a list of folders")?;
                self.backbones =
                    Some(folders.iter().map(|f| Ok(text(f)?.into())).collect::<Result<_, String>>()?);
            }
        }
        Ok(())
    }
}

fn text(value: &toml::Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("it must be text, found {}", value.type_str()))
}
