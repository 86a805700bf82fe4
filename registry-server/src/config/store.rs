//! How to reach a store that speaks S3.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::storage::{Location, S3Settings};

/// A file of a megabyte is worth another request; a smaller one comes faster from here.
const DEFAULT_REDIRECT_FROM: u64 = 1 << 20;

/// The settings of one source. Credentials come from the environment's own chain
/// (variables, web identity, container, instance) unless both keys are given here.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Address of the S3 server, as in `https://s3.example.org` [default: Amazon's]
    #[arg(long = "s3-endpoint", global = true, env = "HUB_SERVER_S3_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Region of the bucket [default: the environment's]
    #[arg(long = "s3-region", global = true, env = "HUB_SERVER_S3_REGION", value_name = "NAME")]
    pub region: Option<String>,
    /// Whether the bucket is part of the host name instead of the path [default: false]
    #[arg(
        long = "s3-virtual-hosted",
        global = true,
        env = "HUB_SERVER_S3_VIRTUAL_HOSTED",
        value_name = "BOOL"
    )]
    pub virtual_hosted: Option<bool>,
    /// Key id, where the environment's own credentials are not meant
    #[arg(
        long = "s3-access-key-id",
        global = true,
        env = "HUB_SERVER_S3_ACCESS_KEY_ID",
        hide_env_values = true,
        value_name = "ID"
    )]
    pub access_key_id: Option<String>,
    /// Secret of the key
    #[arg(
        long = "s3-secret-access-key",
        global = true,
        env = "HUB_SERVER_S3_SECRET_ACCESS_KEY",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub secret_access_key: Option<String>,
    /// Whether clients fetch files from S3 itself, and send them there, by addresses that expire [default: true]
    #[arg(long = "s3-redirect", global = true, env = "HUB_SERVER_S3_REDIRECT", value_name = "BOOL")]
    pub redirect: Option<bool>,
    /// Bytes from which on a file is fetched from S3 itself, or sent there [default: 1 MiB]
    #[arg(
        long = "s3-redirect-from",
        global = true,
        env = "HUB_SERVER_S3_REDIRECT_FROM",
        value_name = "BYTES"
    )]
    pub redirect_from: Option<u64>,
}

impl StoreSettings {
    /// What `self` says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            endpoint: self.endpoint.or(other.endpoint),
            region: self.region.or(other.region),
            virtual_hosted: self.virtual_hosted.or(other.virtual_hosted),
            access_key_id: self.access_key_id.or(other.access_key_id),
            secret_access_key: self.secret_access_key.or(other.secret_access_key),
            redirect: self.redirect.or(other.redirect),
            redirect_from: self.redirect_from.or(other.redirect_from),
        }
    }

    /// The settings that make `location` and `redirect_from`.
    pub(super) fn of(location: &Location, redirect_from: Option<u64>) -> Self {
        let Location::S3(s3) = location else { return Self::default() };
        let (access_key_id, secret_access_key) = s3.keys.clone().unzip();
        Self {
            endpoint: s3.endpoint.clone(),
            region: s3.region.clone(),
            virtual_hosted: Some(s3.virtual_hosted),
            access_key_id,
            secret_access_key,
            redirect: Some(redirect_from.is_some()),
            redirect_from,
        }
    }

    /// Files from this size on are fetched from the store itself, and sent there; `None`: no file is.
    pub fn redirect_from(&self) -> Option<u64> {
        self.redirect.unwrap_or(true).then_some(self.redirect_from.unwrap_or(DEFAULT_REDIRECT_FROM))
    }

    /// The place that `url` and these settings name together.
    pub fn location(self, url: Option<&str>) -> Result<Location, ConfigError> {
        let Some(url) = url else { return Ok(Location::Files) };
        let Location::S3(bucket) = url.parse()? else { return Ok(Location::Files) };
        let keys = match (self.access_key_id, self.secret_access_key) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            _ => return Err(ConfigError::HalfAKey),
        };
        Ok(Location::S3(S3Settings {
            endpoint: self.endpoint,
            region: self.region,
            virtual_hosted: self.virtual_hosted.unwrap_or_default(),
            keys,
            ..bucket
        }))
    }
}
