//! Fetching a version into the local store.

use std::{future::ready, path::Path, pin::pin, sync::OnceLock};

use futures_util::{StreamExt as _, stream};
use hub_formats::{
    architectures::View,
    checkpoint::{AdapterFolder, BaseFolder, CheckpointError},
};
use hub_schemas::{
    AdapterId, Digest,
    manifest::{Artifact, ArtifactKind, FileEntry},
};

use super::{Choice, PullError};
use crate::{
    cache::{Cache, CacheError, Entry},
    registry::{Blob, Purpose, RegistryClient},
};

/// Files that are fetched at once.
const DOWNLOADS_AT_ONCE: usize = 4;

/// What a pull did.
#[derive(Debug, Clone)]
pub struct Pulled<M = Artifact> {
    /// The version in the local store.
    pub entry: Entry<M>,
    /// Bytes of files that were fetched, as far as this pull fetched them whole.
    pub fetched: u64,
    /// Bytes of files that the store had.
    pub reused: u64,
}

/// Fetches what is missing of `choice` and puts it in place; `wanted` refuses another kind of
/// artifact before its files are fetched.
///
/// Before that, everything is verified: the manifest's digest and rules, every
/// file's digest and size, and the fit of configuration and tensor shapes; of a base
/// model the digest of its weights. What does not pass is refused and leaves nothing;
/// what is cut off leaves partial files that the next pull continues.
pub async fn pull(
    client: &RegistryClient,
    cache: &Cache,
    choice: &Choice,
    wanted: Option<ArtifactKind>,
) -> Result<Pulled, PullError> {
    let reporter = client.reporter().as_ref();
    let adding = cache.lock_for_adding(reporter).await?;
    let _alone = cache.lock_thing(&choice.digest.hex(), reporter).await?;
    // Another process may have pulled it while this one waited.
    if let Some(entry) = cache.entry_by_digest(&choice.digest) {
        let reused = entry.manifest.total_size();
        return Ok(Pulled { entry, fetched: 0, reused });
    }
    let bytes = client.manifest(&choice.digest, Purpose::Pull).await?;
    let manifest =
        Artifact::parse(&bytes).map_err(|source| PullError::Manifest { title: choice.title(), source })?;
    check_identity(choice, &manifest)?;
    // Before a base model's gigabytes are fetched.
    if let Some(wanted) = wanted.filter(|kind| *kind != manifest.kind()) {
        return Err(PullError::OtherKind { title: choice.title(), found: manifest.kind(), wanted });
    }
    let from = choice.name.as_ref().map_or(manifest.name(), |(id, _)| id);
    let fetched = fetch_all(client, cache, from, &manifest).await?;
    let result = put_in_place(cache, &manifest, &bytes, choice);
    if matches!(result, Err(PullError::Misfit { .. })) {
        drop(adding);
        // Its files were only fetched for it.
        sweep_unneeded(cache, manifest.files().iter().map(|f| f.digest)).await?;
    }
    let entry = result?;
    Ok(Pulled { reused: manifest.total_size().saturating_sub(fetched), entry, fetched })
}

/// Removes files that were only brought for a version that is refused. Another `hub` may be at work:
/// then they wait for a later removal.
pub(crate) async fn sweep_unneeded(
    cache: &Cache,
    digests: impl IntoIterator<Item = Digest>,
) -> Result<(), CacheError> {
    let removing = cache.lock_for_removing(&crate::registry::Silent);
    if let Ok(_lock) = tokio::time::timeout(std::time::Duration::from_millis(200), removing).await {
        cache.sweep(digests)?;
    }
    Ok(())
}

fn check_identity(choice: &Choice, manifest: &Artifact) -> Result<(), PullError> {
    match &choice.name {
        Some((id, version))
            if choice.published_as.as_ref().unwrap_or(id) != manifest.name()
                || version != manifest.version() =>
        {
            let found = format!("{}@{}", manifest.name(), manifest.version());
            Err(PullError::OtherVersion { title: choice.title(), found })
        }
        _ => Ok(()),
    }
}

fn unique(files: &[FileEntry]) -> Vec<&FileEntry> {
    let mut seen = std::collections::HashSet::new();
    files.iter().filter(|file| seen.insert(file.digest)).collect()
}

/// Fetches every file of the adapter called `from` that the store lacks; says how many bytes they have.
///
/// The first failure ends it. A registry that sent wrong bytes for one file is not trusted
/// with the beginnings of others: what is under way then comes to its own, verified end, so
/// that no partial file of that registry is left for a later pull to continue.
async fn fetch_all(
    client: &RegistryClient,
    cache: &Cache,
    from: &AdapterId,
    manifest: &Artifact,
) -> Result<u64, PullError> {
    let wrong = OnceLock::new();
    let mut fetched = 0;
    {
        let files = stream::iter(unique(manifest.files())).take_while(|_| ready(wrong.get().is_none()));
        let mut running = pin!(
            files.map(|file| fetch(client, cache, from, manifest, file)).buffer_unordered(DOWNLOADS_AT_ONCE)
        );
        while let Some(result) = running.next().await {
            match result {
                Ok(bytes) => fetched += bytes,
                Err(e) if e.is_wrong_bytes() => drop(wrong.set(e)),
                Err(e) if wrong.get().is_none() => return Err(e),
                Err(_) => {}
            }
        }
    }
    wrong.into_inner().map_or(Ok(fetched), Err)
}

/// Fetches a file unless the store has it; says how many bytes it has when fetched.
async fn fetch(
    client: &RegistryClient,
    cache: &Cache,
    from: &AdapterId,
    manifest: &Artifact,
    file: &FileEntry,
) -> Result<u64, PullError> {
    let _alone = cache.lock_thing(&file.digest.hex(), client.reporter().as_ref()).await?;
    if cache.has_blob(&file.digest, file.size) {
        return Ok(0);
    }
    let blob = Blob {
        adapter: from,
        name: file.path.as_str(),
        digest: file.digest,
        size: file.size,
        kind: manifest.kind(),
    };
    let partial = cache.partial_path(&file.digest)?;
    client.download(&blob, &partial).await?;
    cache.keep_blob(&file.digest)?;
    Ok(file.size)
}

fn put_in_place(
    cache: &Cache,
    manifest: &Artifact,
    bytes: &[u8],
    choice: &Choice,
) -> Result<Entry<Artifact>, PullError> {
    let staged = cache.stage(manifest, bytes)?;
    check_fit(manifest, staged.folder())
        .map_err(|source| PullError::Misfit { title: choice.title(), source: Box::new(source) })?;
    debug_assert_eq!(Digest::of(bytes), choice.digest);
    Ok(staged.commit()?)
}

/// Whether the files in `folder` are what the manifest says they are.
pub(crate) fn check_fit(manifest: &Artifact, folder: &Path) -> Result<(), CheckpointError> {
    match manifest {
        Artifact::Adapter(adapter) => AdapterFolder::open(folder)?.check_fit(&adapter.base.shape),
        Artifact::Base(base) => {
            let view = View::with_decoder(base.base.shape.decoder_layers);
            BaseFolder::open_as(folder, view)?.check_is(&base.base)
        }
    }
}
