//! Other registries whose adapters are fetched when somebody asks for them. There may be
//! several, so they are in the file alone.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use hub_schemas::{label::License, name::Namespace};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::domain::mirror::LicenseRules;

/// New versions are seen after this time at the latest, and one request in it goes upstream.
const DEFAULT_FRESH_SECONDS: u64 = 60;

/// What is mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MirrorKind {
    /// Another one of these registries.
    #[default]
    Hub,
    /// A hub that speaks the protocol of Hugging Face's, whose repositories become versions.
    HuggingFace,
}

/// One `[[mirrors]]` of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorSettings {
    /// `hub` for another one of these registries, `huggingface` for a Hugging Face hub [default: hub].
    pub kind: MirrorKind,
    /// Address of the other registry.
    pub url: String,
    /// The namespaces that are taken from it; there are no others.
    pub namespaces: Vec<Namespace>,
    /// File with the token that it is asked with.
    pub token_file: Option<PathBuf>,
    /// User in whose name everything in these namespaces is fetched as it changes there, and deleted as it
    /// is there; without one, what is asked for is fetched.
    pub replicate_as: Option<Namespace>,
    /// Seconds for which a version list is not asked for again [default: 60].
    pub fresh_seconds: Option<u64>,
    /// Only adapters with one of these licences are taken; without it, with any.
    pub allow_licenses: Option<Vec<License>>,
    /// Adapters with one of these licences are not.
    pub deny_licenses: Vec<License>,
}

/// A registry to mirror.
#[derive(Debug, Clone)]
pub struct MirrorConfig {
    /// What it is.
    pub kind: MirrorKind,
    /// Its address.
    pub url: Url,
    /// What is taken from it.
    pub namespaces: Vec<Namespace>,
    /// File with the token that it is asked with.
    pub token_file: Option<PathBuf>,
    /// In whose name the registry is followed by its changes.
    pub replicate_as: Option<Namespace>,
    /// For how long a version list is not asked for again.
    pub fresh: Duration,
    /// Which licences are taken.
    pub licenses: LicenseRules,
}

impl MirrorSettings {
    /// Checks every mirror, and that no namespace comes from two.
    pub(super) fn resolve(all: &[Self]) -> Result<Vec<MirrorConfig>, ConfigError> {
        let mut seen = BTreeSet::new();
        for namespace in all.iter().flat_map(|mirror| &mirror.namespaces) {
            if !seen.insert(namespace) {
                return Err(ConfigError::Mirror(format!("the namespace `{namespace}` is mirrored twice")));
            }
        }
        all.iter().map(Self::checked).collect()
    }

    fn checked(&self) -> Result<MirrorConfig, ConfigError> {
        let url = Url::parse(&self.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            let detail =
                format!("`{}` is not the address of a registry, as in `https://hub.example.org`", self.url);
            return Err(ConfigError::Mirror(detail));
        };
        if !url.username().is_empty() || url.password().is_some() {
            let detail =
                "the address of a mirrored registry has a password in it; put a token into `token_file`";
            return Err(ConfigError::Mirror(detail.to_owned()));
        }
        if self.namespaces.is_empty() {
            let detail = format!("the mirror of `{url}` names no `namespaces`; nothing else is ever fetched");
            return Err(ConfigError::Mirror(detail));
        }
        if self.kind == MirrorKind::HuggingFace && self.replicate_as.is_some() {
            let detail = format!(
                "`{url}` can't be followed: a Hugging Face hub has no feed of changes; without `replicate_as` it is \
                 asked when somebody asks for an adapter"
            );
            return Err(ConfigError::Mirror(detail));
        }
        Ok(MirrorConfig {
            kind: self.kind,
            url,
            namespaces: self.namespaces.clone(),
            token_file: self.token_file.clone(),
            replicate_as: self.replicate_as.clone(),
            fresh: Duration::from_secs(self.fresh_seconds.unwrap_or(DEFAULT_FRESH_SECONDS)),
            licenses: LicenseRules { allow: self.allow_licenses.clone(), deny: self.deny_licenses.clone() },
        })
    }
}

impl From<&MirrorConfig> for MirrorSettings {
    fn from(mirror: &MirrorConfig) -> Self {
        Self {
            kind: mirror.kind,
            url: mirror.url.to_string(),
            namespaces: mirror.namespaces.clone(),
            token_file: mirror.token_file.clone(),
            replicate_as: mirror.replicate_as.clone(),
            fresh_seconds: Some(mirror.fresh.as_secs()),
            allow_licenses: mirror.licenses.allow.clone(),
            deny_licenses: mirror.licenses.deny.clone(),
        }
    }
}
