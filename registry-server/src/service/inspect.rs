//! Looking into a version's files before it is published: their first bytes, their
//! headers, their configuration; never their weights.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
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

/// Bytes of weights and configurations that are read at first: of nearly all of them nothing else is needed.
const FIRST_BYTES: u64 = 64 << 10;
/// Files that are looked at at once: each look waits for a thread, or for a store across a network.
const AT_ONCE: usize = 8;
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
            let looked = files.look(&manifest.files).await?;
            let found = looked.iter().find(|looked| looked.file.path.as_str() == BASE_CONFIG);
            if let Some(looked) = found {
                files.config(looked).await?;
            }
            Ok(())
        }
    }
}

async fn adapter(files: &Files<'_>, manifest: &Manifest) -> ApiResult<()> {
    weights::check_known(manifest).map_err(PublishError::from)?;
    let looked = files.look(&manifest.files).await?;
    let mut configs = Configs::default();
    for path in weights::config_files(manifest) {
        let Some(looked) = looked.iter().find(|looked| looked.file.path.as_str() == path) else { continue };
        let slot =
            if path == hub_schemas::layout::HEAD_CONFIG { &mut configs.head } else { &mut configs.adapter };
        *slot = files.config(looked).await?;
    }
    let headers: Vec<_> = looked.into_iter().filter_map(Looked::into_header).collect();
    weights::check(manifest, &configs, &headers).map_err(PublishError::from)?;
    Ok(())
}

/// A file whose first bytes are what they should be.
struct Looked<'a> {
    file: &'a FileEntry,
    /// Where it is a configuration, perhaps all of it.
    first: Bytes,
    /// Where it is weights.
    header: Option<TensorHeader>,
}

impl Looked<'_> {
    fn into_header(self) -> Option<(String, TensorHeader)> {
        Some((self.file.path.to_string(), self.header?))
    }
}

/// The files of a version in the storage.
struct Files<'a> {
    storage: &'a Storage,
    blobs: &'a BTreeMap<Digest, Blob>,
}

impl Files<'_> {
    /// Looks at the first bytes of every file, and at the headers of weights.
    async fn look<'f>(&self, entries: &'f [FileEntry]) -> ApiResult<Vec<Looked<'f>>> {
        let looks = entries.iter().map(|file| self.look_at(file)).collect::<Vec<_>>();
        stream::iter(looks).buffered(AT_ONCE).try_collect().await
    }

    async fn look_at<'f>(&self, file: &'f FileEntry) -> ApiResult<Looked<'f>> {
        let len = match file.media_type {
            MediaType::Safetensors | MediaType::Json => FIRST_BYTES,
            _ => HEAD_BYTES,
        };
        let first = self.head(file, len).await?;
        let head = first.get(..HEAD_BYTES as usize).unwrap_or(&first);
        content::check_head(file, head).map_err(PublishError::from)?;
        if file.media_type != MediaType::Safetensors {
            return Ok(Looked { file, first, header: None });
        }
        let header = self.header(file, first).await?;
        Ok(Looked { file, first: Bytes::new(), header: Some(header) })
    }

    async fn header(&self, file: &FileEntry, first: Bytes) -> ApiResult<TensorHeader> {
        // Bounded before it is read: `header_len` refuses anything above 16 MiB.
        let len = header_len(&first, file.size)
            .map_err(|e| PublishError::from(content::header_error(file, &first, e)))?;
        let bytes = self.more(file, first, len).await?;
        Ok(content::tensor_header(file, &bytes).map_err(PublishError::from)?)
    }

    async fn config(&self, looked: &Looked<'_>) -> ApiResult<Value> {
        let (file, path) = (looked.file, looked.file.path.to_string());
        if file.size > MAX_CONFIG_BYTES {
            let what = format!("`{path}`");
            return Err(PublishError::TooLarge { what, bytes: file.size, max: MAX_CONFIG_BYTES }.into());
        }
        let bytes = self.more(file, looked.first.clone(), MAX_CONFIG_BYTES).await?;
        let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
        let value = parsed.map_err(|e| {
            PublishError::from(ContentError::Json { path: path.clone(), reason: e.to_string() })
        })?;
        if value.is_object() {
            Ok(value)
        } else {
            Err(PublishError::from(ContentError::Json { path, reason: "not an object".to_owned() }).into())
        }
    }

    /// The first `len` bytes of a file, or all when it has fewer; `first` are those that were read.
    async fn more(&self, file: &FileEntry, first: Bytes, len: u64) -> ApiResult<Bytes> {
        let len = len.min(self.blob(file)?.size);
        if first.len() as u64 >= len { Ok(first.slice(..len as usize)) } else { self.head(file, len).await }
    }

    /// The first `len` bytes of a file, or all when it has fewer.
    async fn head(&self, file: &FileEntry, len: u64) -> ApiResult<Bytes> {
        let blob = self.blob(file)?;
        Ok(self.storage.head(&blob.object, len.min(blob.size)).await?)
    }

    fn blob(&self, file: &FileEntry) -> ApiResult<&Blob> {
        self.blobs
            .get(&file.digest)
            .ok_or_else(|| ApiError::internal(format!("`{}` was there a moment ago", file.path)))
    }
}
