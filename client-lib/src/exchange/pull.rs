//! Fetching a version into the local store.

use std::{future::ready, pin::pin, sync::OnceLock};

use futures_util::{StreamExt as _, stream};
use hub_schemas::{AdapterId, Digest, Manifest, manifest::FileEntry};

use super::{Choice, PullError};
use crate::{
    cache::{Cache, Entry},
    checkpoint::AdapterFolder,
    registry::{Blob, Purpose, RegistryClient},
};

/// Files that are fetched at once.
const DOWNLOADS_AT_ONCE: usize = 4;

/// What a pull did.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The adapter in the local store.
    pub entry: Entry,
    /// Bytes of files that were fetched, as far as this pull fetched them whole.
    pub fetched: u64,
    /// Bytes of files that the store had.
    pub reused: u64,
}

/// Fetches what is missing of `choice` and puts it in place.
///
/// Before that, everything is verified: the manifest's digest and rules, every
/// file's digest and size, and the fit of configuration and tensor shapes. What
/// does not pass is refused and leaves nothing; what is cut off leaves partial
/// files that the next pull continues.
pub async fn pull(client: &RegistryClient, cache: &Cache, choice: &Choice) -> Result<Pulled, PullError> {
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
        Manifest::parse(&bytes).map_err(|source| PullError::Manifest { title: choice.title(), source })?;
    check_identity(choice, &manifest)?;
    let from = choice.name.as_ref().map_or(&manifest.name, |(id, _)| id);
    let fetched = fetch_all(client, cache, from, &manifest).await?;
    let result = put_in_place(cache, &manifest, &bytes, choice);
    if matches!(result, Err(PullError::Misfit { .. })) {
        drop(adding);
        // Its files were only fetched for it. Another `hub` may be at work: then they wait for a later removal.
        if let Ok(_lock) = tokio::time::timeout(
            std::time::Duration::from_millis(200),
            cache.lock_for_removing(&crate::registry::Silent),
        )
        .await
        {
            cache.sweep(manifest.files.iter().map(|f| f.digest))?;
        }
    }
    let entry = result?;
    Ok(Pulled { reused: manifest.total_size().saturating_sub(fetched), entry, fetched })
}

fn check_identity(choice: &Choice, manifest: &Manifest) -> Result<(), PullError> {
    match &choice.name {
        Some((id, version))
            if *choice.published_as.as_ref().unwrap_or(id) != manifest.name
                || *version != manifest.version =>
        {
            let found = format!("{}@{}", manifest.name, manifest.version);
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
    manifest: &Manifest,
) -> Result<u64, PullError> {
    let wrong = OnceLock::new();
    let mut fetched = 0;
    {
        let files = stream::iter(unique(&manifest.files)).take_while(|_| ready(wrong.get().is_none()));
        let mut running =
            pin!(files.map(|file| fetch(client, cache, from, file)).buffer_unordered(DOWNLOADS_AT_ONCE));
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
    file: &FileEntry,
) -> Result<u64, PullError> {
    let _alone = cache.lock_thing(&file.digest.hex(), client.reporter().as_ref()).await?;
    if cache.has_blob(&file.digest, file.size) {
        return Ok(0);
    }
    let blob = Blob { adapter: from, name: file.path.as_str(), digest: file.digest, size: file.size };
    let partial = cache.partial_path(&file.digest)?;
    client.download(&blob, &partial).await?;
    cache.keep_blob(&file.digest)?;
    Ok(file.size)
}

fn put_in_place(
    cache: &Cache,
    manifest: &Manifest,
    bytes: &[u8],
    choice: &Choice,
) -> Result<Entry, PullError> {
    let staged = cache.stage(manifest, bytes)?;
    let misfit = |source| PullError::Misfit { title: choice.title(), source: Box::new(source) };
    let folder = AdapterFolder::open(staged.folder()).map_err(misfit)?;
    folder.check_fit(&manifest.base.shape).map_err(misfit)?;
    debug_assert_eq!(Digest::of(bytes), choice.digest);
    Ok(staged.commit()?)
}
