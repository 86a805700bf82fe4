//! A folder that looks like a repository to whoever reads configurations and headers: texts in full, and of weights
//! the header alone. The rest of such a file is a hole, which nobody may read.

use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hub_formats::checkpoint::CheckpointError;
use hub_schemas::{layout::header_len, manifest::MediaType};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::{fs, io::AsyncWriteExt as _};

use crate::{
    error::{ApiError, ApiResult},
    storage::{Key, Storage},
};

/// The first bytes of a safetensors file: how long its header is.
const LENGTH_BYTES: u64 = 8;

/// The folder, which goes with this value.
pub(super) struct Sketch(TempDir);

impl Sketch {
    pub(super) fn new() -> ApiResult<Self> {
        tempfile::tempdir().map(Self).map_err(ApiError::internal)
    }

    /// Adds a file of the storage under its name.
    pub(super) async fn add(
        &self,
        storage: &Storage,
        (name, size, media_type): (&str, u64, MediaType),
        object: &Key,
    ) -> ApiResult<()> {
        if media_type != MediaType::Safetensors {
            let pieces: Vec<Bytes> = storage.get(object, None).await?.try_collect().await?;
            return self.write(name, &pieces.concat(), size).await;
        }
        let first = storage.head(object, LENGTH_BYTES.min(size)).await?;
        // What is no header is refused, with its file's name, by whoever reads the folder.
        let needed = header_len(&first, size).unwrap_or(first.len() as u64);
        let header = storage.head(object, needed).await?;
        self.write(name, &header, size).await
    }

    /// Adds a file that begins with these bytes and has this size.
    pub(super) async fn write(&self, name: &str, bytes: &[u8], size: u64) -> ApiResult<()> {
        let written = async {
            let mut file = fs::File::create(self.0.path().join(name)).await?;
            file.write_all(bytes).await?;
            file.flush().await?;
            file.set_len(size).await
        };
        written.await.map_err(ApiError::internal)
    }

    /// A JSON object of the folder; empty where there is none.
    pub(super) async fn json(&self, name: &str) -> ApiResult<Map<String, Value>> {
        match fs::read(self.0.path().join(name)).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(ApiError::internal(error)),
        }
    }

    /// Looks at the folder where waiting for a disk keeps nobody else.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> Result<T, CheckpointError> + Send + 'static,
    ) -> ApiResult<Result<T, CheckpointError>> {
        let path = self.0.path().to_owned();
        tokio::task::spawn_blocking(move || look(&path)).await.map_err(ApiError::internal)
    }

    /// What is wrong, by the names of the repository.
    pub(super) fn told(&self, error: &CheckpointError) -> String {
        let folder = self.0.path().display().to_string();
        error.to_string().replace(&format!("{folder}/"), "").replace(&folder, "the repository")
    }
}
