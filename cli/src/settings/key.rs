//! The keys of the configuration file.

use std::{path::PathBuf, str::FromStr};

use hub_schemas::nearest;

use crate::{args::Color, settings::parse_registry};

/// A key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// URL of the registry.
    Registry,
    /// Folder of the backbone in use.
    Base,
    /// Folders to look for backbones in.
    Backbones,
    /// Folder of the local store.
    Cache,
    /// No requests.
    Offline,
    /// When to use colour.
    Color,
}

/// Not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a configuration key")]
pub(crate) struct UnknownKey(pub(crate) String);

impl UnknownKey {
    /// The key that was probably meant, and the list of all.
    pub(crate) fn hints(&self) -> Vec<String> {
        let names: Vec<_> = Key::ALL.iter().map(|k| k.name()).collect();
        let mut hints = Vec::new();
        if let Some(near) = nearest(&self.0, names.iter().copied()) {
            hints.push(format!("did you mean `{near}`?"));
        }
        hints.push(format!("the keys are `{}`", names.join("`, `")));
        hints
    }
}

impl Key {
    /// Every key.
    pub(crate) const ALL: [Self; 6] =
        [Self::Registry, Self::Base, Self::Backbones, Self::Cache, Self::Offline, Self::Color];

    /// As it is written in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Base => "base",
            Self::Backbones => "backbones",
            Self::Cache => "cache",
            Self::Offline => "offline",
            Self::Color => "color",
        }
    }

    /// Turns words from the command line into a value for the file.
    pub(crate) fn value(self, words: &[String]) -> Result<toml::Value, String> {
        if self == Self::Backbones {
            let folders: Result<Vec<_>, _> = words.iter().map(|w| folder(w)).collect();
            return Ok(toml::Value::Array(folders?));
        }
        let [word] = words else {
            return Err(format!("`{}` takes one value", self.name()));
        };
        match self {
            Self::Registry => Ok(parse_registry(word)?.to_string().trim_end_matches('/').to_owned().into()),
            Self::Base | Self::Cache | Self::Backbones => folder(word),
            Self::Offline => match word.as_str() {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                other => Err(format!("`{other}` is neither `true` nor `false`")),
            },
            Self::Color => parse_color(word).map(|_| word.clone().into()),
        }
    }
}

/// A path in the file means the same from every folder.
fn folder(word: &str) -> Result<toml::Value, String> {
    let path =
        std::path::absolute(PathBuf::from(word)).map_err(|e| format!("`{word}` is not a path: {e}"))?;
    let text = path.to_str().ok_or_else(|| format!("`{}` is not UTF-8", path.display()))?;
    Ok(text.to_owned().into())
}

pub(super) fn parse_color(text: &str) -> Result<Color, String> {
    clap::ValueEnum::from_str(text, false)
        .map_err(|_| format!("`{text}` is none of `auto`, `always`, `never`"))
}

impl FromStr for Key {
    type Err = UnknownKey;
    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        Self::ALL.into_iter().find(|k| k.name() == text).ok_or_else(|| UnknownKey(text.to_owned()))
    }
}
