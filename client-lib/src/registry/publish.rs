//! From a folder to a published version: files first, then the manifest that makes them visible.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hub_schemas::{
    Digest, DigestHasher,
    api::{Published, Visibility},
    manifest::Artifact,
};

use super::{Blob, RegistryClient, RegistryError, Sent};

/// Files that are uploaded at once: more share the same line.
const UPLOADS_AT_ONCE: usize = 3;

/// Bytes that are read from a file at once.
const PIECE_BYTES: usize = 1 << 20;

/// Where the digests in a manifest come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// The files were hashed just now.
    Computed,
    /// Whoever wrote the manifest states them. The registry hashes what is sent to it anyway, and refuses what has
    /// another digest; a file of which it has some already is hashed here before anything is published.
    Stated,
}

/// What is published.
#[derive(Debug, Clone)]
pub struct PublishPlan<'a> {
    /// The folder with the manifest's files.
    pub folder: &'a Path,
    /// The manifest.
    pub manifest: &'a Artifact,
    /// Its canonical bytes.
    pub bytes: &'a [u8],
    /// Whether its digests are those of the files.
    pub digests: Digests,
    /// Visibility of an adapter that is new.
    pub visibility: Option<Visibility>,
}

impl PublishPlan<'_> {
    /// Compares a file with the digest that the manifest states, unless that was computed from it.
    async fn check(&self, path: PathBuf, stated: Digest) -> Result<(), RegistryError> {
        if self.digests == Digests::Computed {
            return Ok(());
        }
        let file = path.clone();
        let found = tokio::task::spawn_blocking(move || digest_of(&file)).await;
        match found.map_err(io::Error::other).flatten().map_err(RegistryError::read(&path))? {
            found if found == stated => Ok(()),
            _ => Err(RegistryError::NotDescribed { path }),
        }
    }
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
        let files: Vec<_> = manifest.files().iter().map(|f| (f, seen.insert(f.digest))).collect();
        let uploads = stream::iter(files).map(|(file, is_first)| {
            let path: PathBuf = plan.folder.join(file.path.as_str());
            async move {
                if !is_first {
                    plan.check(path, file.digest).await?;
                    return Ok(None);
                }
                let blob = Blob {
                    adapter: manifest.name(),
                    name: file.path.as_str(),
                    digest: file.digest,
                    size: file.size,
                    kind: manifest.kind(),
                };
                let sent = self.upload(&blob, &path).await?;
                if sent != Sent::All {
                    plan.check(path, file.digest).await?;
                }
                Ok::<_, RegistryError>(Some((sent != Sent::Nothing, file.size)))
            }
        });
        let done: Vec<_> = uploads.buffer_unordered(UPLOADS_AT_ONCE).try_collect().await?;
        let published =
            self.publish(manifest.name(), manifest.version(), plan.visibility, plan.bytes).await?;
        let sum = |sent: bool| done.iter().flatten().filter(|(s, _)| *s == sent).map(|(_, size)| size).sum();
        Ok(PublishOutcome { published, uploaded: sum(true), skipped: sum(false) })
    }
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let (mut hasher, mut piece) = (DigestHasher::default(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&piece[..read]),
        }
    }
}
