//! From a folder to a published version: files first, then the manifest that makes them visible.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hub_schemas::{
    api::{Published, Visibility},
    manifest::Artifact,
};

use super::{Blob, RegistryClient, RegistryError};

/// Files that are uploaded at once: more share the same line.
const UPLOADS_AT_ONCE: usize = 3;

/// What is published.
#[derive(Debug, Clone)]
pub struct PublishPlan<'a> {
    /// The folder with the manifest's files.
    pub folder: &'a Path,
    /// The manifest.
    pub manifest: &'a Artifact,
    /// Its canonical bytes.
    pub bytes: &'a [u8],
    /// Visibility of an adapter that is new.
    pub visibility: Option<Visibility>,
}

/// What was published.
#[derive(Debug, Clone)]
pub struct PublishOutcome {
    /// The registry's answer.
    pub published: Published,
    /// Bytes of files that had to be uploaded.
    pub uploaded: u64,
    /// Bytes of files that the registry had.
    pub skipped: u64,
}

impl RegistryClient {
    /// Uploads the files that the registry lacks, then publishes. Cut off at any
    /// point, the same call continues; nothing is visible before it succeeds.
    pub async fn publish_folder(&self, plan: &PublishPlan<'_>) -> Result<PublishOutcome, RegistryError> {
        let manifest = plan.manifest;
        let mut seen = std::collections::HashSet::new();
        let files: Vec<_> = manifest.files().iter().filter(|f| seen.insert(f.digest)).collect();
        let uploads = stream::iter(files).map(|file| {
            let path: PathBuf = plan.folder.join(file.path.as_str());
            async move {
                let blob = Blob {
                    adapter: manifest.name(),
                    name: file.path.as_str(),
                    digest: file.digest,
                    size: file.size,
                    kind: manifest.kind(),
                };
                Ok::<_, RegistryError>((self.upload(&blob, &path).await?, file.size))
            }
        });
        let done: Vec<_> = uploads.buffer_unordered(UPLOADS_AT_ONCE).try_collect().await?;
        let published =
            self.publish(manifest.name(), manifest.version(), plan.visibility, plan.bytes).await?;
        let sum = |sent: bool| done.iter().filter(|(s, _)| *s == sent).map(|(_, size)| size).sum();
        Ok(PublishOutcome { published, uploaded: sum(true), skipped: sum(false) })
    }
}
