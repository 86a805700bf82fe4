//! Looking into a version's files before it is published: their first bytes, their
//! headers, their configuration; never their weights.

use std::collections::BTreeMap;

use bytes::Bytes;
use hub_schemas::{
    digest::Digest,
    layout::{TensorHeader, header_len},
    manifest::{Artifact, FileEntry, Manifest, MediaType},
};
use serde_json::Value;

use crate::{
    db::blobs::Blob,
    domain::{
        content::{self, ContentError, HEAD_BYTES},
        publish::PublishError,
        weights::{self, Configs},
    },
    error::{ApiError, ApiResult},
    storage::Storage,
};

/// A configuration is a page of text.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The configuration of a base model's folder.
const BASE_CONFIG: &str = "config.json";

/// Refuses files that are not what the manifest says.
pub(crate) async fn files(
    storage: &Storage,
    manifest: &Artifact,
    blobs: &BTreeMap<Digest, Blob>,
) -> ApiResult<()> {
    let files = Files { storage, blobs };
    match manifest {
        Artifact::Adapter(manifest) => adapter(&files, manifest).await,
        Artifact::Base(manifest) => {
            headers(&files, &manifest.files).await?;
            let found = manifest.files.iter().find(|file| file.path.as_str() == BASE_CONFIG);
            if let Some(file) = found {
                config(&files, file).await?;
            }
            Ok(())
        }
    }
}

async fn adapter(files: &Files<'_>, manifest: &Manifest) -> ApiResult<()> {
    weights::check_known(manifest).map_err(PublishError::from)?;
    let headers = headers(files, &manifest.files).await?;
    let mut configs = Configs::default();
    for path in weights::config_files(manifest) {
        let Some(file) = manifest.file(path) else { continue };
        let slot =
            if path == hub_schemas::layout::HEAD_CONFIG { &mut configs.head } else { &mut configs.adapter };
        *slot = config(files, file).await?;
    }
    weights::check(manifest, &configs, &headers).map_err(PublishError::from)?;
    Ok(())
}

/// The headers of all weights files, after a look at the first bytes of every file.
async fn headers(files: &Files<'_>, entries: &[FileEntry]) -> ApiResult<Vec<(String, TensorHeader)>> {
    let mut headers = Vec::new();
    for file in entries {
        let head = files.head(file, HEAD_BYTES).await?;
        content::check_head(file, &head).map_err(PublishError::from)?;
        if file.media_type == MediaType::Safetensors {
            headers.push((file.path.to_string(), header(files, file, &head).await?));
        }
    }
    Ok(headers)
}

/// The files of a version in the storage.
struct Files<'a> {
    storage: &'a Storage,
    blobs: &'a BTreeMap<Digest, Blob>,
}

impl Files<'_> {
    /// The first `len` bytes of a file, or all when it has fewer.
    async fn head(&self, file: &FileEntry, len: u64) -> ApiResult<Bytes> {
        let Some(blob) = self.blobs.get(&file.digest) else {
            return Err(ApiError::internal(format!("`{}` was there a moment ago", file.path)));
        };
        Ok(self.storage.head(&blob.object, len.min(blob.size)).await?)
    }
}

async fn header(files: &Files<'_>, file: &FileEntry, head: &[u8]) -> ApiResult<TensorHeader> {
    // Bounded before it is read: `header_len` refuses anything above 16 MiB.
    let len =
        header_len(head, file.size).map_err(|e| PublishError::from(content::header_error(file, head, e)))?;
    let bytes = files.head(file, len).await?;
    Ok(content::tensor_header(file, &bytes).map_err(PublishError::from)?)
}

async fn config(files: &Files<'_>, file: &FileEntry) -> ApiResult<Value> {
    let path = file.path.to_string();
    if file.size > MAX_CONFIG_BYTES {
        let what = format!("`{path}`");
        return Err(PublishError::TooLarge { what, bytes: file.size, max: MAX_CONFIG_BYTES }.into());
    }
    let bytes = files.head(file, MAX_CONFIG_BYTES).await?;
    let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
    let value = parsed
        .map_err(|e| PublishError::from(ContentError::Json { path: path.clone(), reason: e.to_string() }))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(PublishError::from(ContentError::Json { path, reason: "not an object".to_owned() }).into())
    }
}
