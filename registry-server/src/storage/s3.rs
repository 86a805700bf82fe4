//! Stores that speak S3. Credentials come from the environment's own chain
//! (variables, web identity, container, instance) unless the settings name some.

use std::{str::FromStr, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut},
};

use super::{REMOTE_WRITE, Storage, StorageError, relay::Relay};
use crate::outgoing::choose_tls;

/// A store in the same data centre answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for so long means that none will come. A whole object has no deadline.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Long enough for a store that restarts, short enough that a client still waits.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const RETRIES: usize = 5;

/// Where files lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Location {
    /// In the data folder.
    #[default]
    Files,
    /// In a bucket.
    S3(S3Settings),
}

/// A bucket, and how to reach it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// What every key stands below; empty where the bucket is the registry's alone.
    pub prefix: String,
    /// Where its server is; Amazon's when there is none.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The bucket is part of the host name instead of the path.
    pub virtual_hosted: bool,
    /// Key id and secret; without them the environment's own.
    pub keys: Option<(String, String)>,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// The text is no storage URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a storage URL; it looks like `s3://bucket` or `s3://bucket/prefix`")]
pub struct LocationError(String);

impl FromStr for Location {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, LocationError> {
        let refuse = || LocationError(text.chars().take(100).collect());
        let rest = text.strip_prefix("s3://").ok_or_else(refuse)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let of_prefix = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
        if !(3..=63).contains(&bucket.len())
            || !bucket.chars().all(of_bucket)
            || !prefix.chars().all(of_prefix)
        {
            return Err(refuse());
        }
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self::S3(S3Settings { bucket: bucket.to_owned(), prefix, ..S3Settings::default() }))
    }
}

pub(super) fn open(settings: &S3Settings) -> Result<Storage, StorageError> {
    choose_tls();
    let store = Arc::new(build(settings)?);
    Ok(Storage {
        store: Arc::clone(&store) as Arc<dyn ObjectStore>,
        prefix: settings.prefix.as_str().into(),
        write_size: REMOTE_WRITE,
        root: None,
        relay: Some(Relay::default()),
        multipart: Some(Arc::clone(&store) as _),
        signer: Some(store),
    })
}

fn build(settings: &S3Settings) -> Result<AmazonS3, StorageError> {
    let plain = settings.endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout_disabled()
        .with_allow_http(plain);
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&settings.bucket)
        .with_virtual_hosted_style_request(settings.virtual_hosted)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret)) = &settings.keys {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_url_names_a_bucket() {
        let Ok(Location::S3(settings)) = "s3://team-adapters/hub/".parse() else { panic!("an S3 location") };
        assert_eq!((settings.bucket.as_str(), settings.prefix.as_str()), ("team-adapters", "hub"));
        for text in ["", "s3://", "s3://a/b", "https://x", "s3://UPPER", "/srv/files", "s3://bucket/a b"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
