//! Who decided on a setting.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, parser::ValueSource};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Settings, keys};

/// Who decided on a setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// A flag on the command line.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// The configuration file.
    File(PathBuf),
    /// Nobody.
    #[default]
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Who decided on each setting, by path; whoever is not here is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Flags and variables, as clap found them.
    pub fn of(matches: &ArgMatches) -> Self {
        let given = |key: keys::Key| {
            // An argument that this command does not have has no source.
            let found = matches.try_contains_id(&key.argument).ok()?;
            let source = found.then(|| matches.value_source(&key.argument)).flatten()?;
            let source = match source {
                ValueSource::CommandLine => Source::Flag(key.flag?),
                ValueSource::EnvVariable => Source::Environment(key.variable?),
                _ => return None,
            };
            Some((key.path, source))
        };
        Self(keys::all().into_iter().filter_map(given).collect())
    }

    /// Adds what the file `path` says, where nobody said anything before.
    pub(super) fn add_file(&mut self, path: &Path, file: &Settings) {
        for (key, _) in keys::flatten(file).into_iter().filter(|(_, value)| !is_absent(value)) {
            self.0.entry(key).or_insert_with(|| Source::File(path.to_owned()));
        }
    }

    /// Who decided on the setting at `path`.
    pub fn get(&self, path: &str) -> Source {
        self.0.get(path).cloned().unwrap_or_default()
    }
}

fn is_absent(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// A setting as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its key in the file.
    pub key: String,
    /// Its value; secrets are hidden.
    pub value: Value,
    /// Who decided on it.
    #[serde(rename = "from")]
    pub source: Source,
}

/// Every setting of `settings`.
pub(super) fn effective(settings: &Settings, sources: &Sources) -> Vec<Effective> {
    let setting = |(key, value): (String, Value)| {
        let value = hide(&key, value);
        Effective { source: sources.get(&key), key, value }
    };
    keys::flatten(settings).into_iter().map(setting).collect()
}

const HIDDEN: &str = "(hidden)";

/// The value without what must not be shown.
fn hide(key: &str, value: Value) -> Value {
    match (key, &value) {
        (_, Value::Null) => value,
        ("s3.access_key_id" | "s3.secret_access_key", _) => HIDDEN.into(),
        ("database_url" | "otlp_endpoint", Value::String(text)) => without_password(text).into(),
        _ => value,
    }
}

fn without_password(text: &str) -> String {
    match reqwest::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for addresses that can't have one.
            let _ = url.set_password(Some("hidden"));
            url.into()
        }
        Ok(_) => text.to_owned(),
        Err(_) => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_shown_without_its_password() {
        assert_eq!(without_password("postgres://hub:s3cret@db/hub"), "postgres://hub:hidden@db/hub");
        assert_eq!(without_password("postgres://hub@db/hub"), "postgres://hub@db/hub");
        assert_eq!(without_password("s3cret"), "(hidden)");
    }
}
