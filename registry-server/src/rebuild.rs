//! A registry's metadata from its storage alone, when the database and its backups are gone.
//!
//! Manifests lie beside the files, and both are named by their digests: names, versions, files,
//! dependencies and search come back from them. What no manifest says does not: users, roles,
//! tokens, visibility (everything comes back private), yanks, tombstones, counts, webhooks, records.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use hub_schemas::{
    api::Visibility,
    digest::{Digest, DigestHasher},
    manifest::{Artifact, FileEntry, MAX_MANIFEST_BYTES},
    name::Namespace,
};
use time::OffsetDateTime;

use crate::{
    app::App,
    db::{adapters, blobs, changes, identity, listings, members, namespaces, users, versions},
    domain::permissions::{Actor, Administer, CreateOrganisation, Denied, Publish, Resource, may},
    storage::{Key, Storage, StorageError},
};

/// An identifier is shorter; anything longer is somebody else's object.
const MAX_IDENTITY_BYTES: u64 = 64;

/// Why a registry can't be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The storage.
    #[error("{0}")]
    Storage(String),
    /// The database has rows.
    #[error("the database is not empty; rebuild into a new one")]
    NotEmpty,
    /// The command line may do anything, so this does not happen.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl From<StorageError> for RebuildError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Rebuilt {
    /// How many versions.
    pub versions: usize,
    /// How many files they list.
    pub blobs: usize,
    /// What did not come back, and why.
    pub lost: Vec<(String, String)>,
}

/// A manifest in the storage.
struct Found {
    manifest: Artifact,
    bytes: String,
    at: OffsetDateTime,
}

/// Rebuilds an empty database. Every file is read and compared with its digest first; then
/// everything becomes visible in one transaction, to `owner` alone.
pub(crate) async fn run(app: &App, owner: &Namespace, people: &[Namespace]) -> Result<Rebuilt, RebuildError> {
    let mut tx = app.db.snapshot().await?;
    let (there,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM namespaces").fetch_one(tx.connection()).await?;
    drop(tx);
    if there > 0 {
        return Err(RebuildError::NotEmpty);
    }
    let mut rebuilt = Rebuilt::default();
    let found = manifests(&app.storage, &mut rebuilt.lost).await?;
    let objects = objects(&app.storage).await?;
    let mut files = Files { storage: &app.storage, objects, sound: BTreeMap::new() };
    let mut whole = Vec::new();
    for found in found {
        match files.check(found.manifest.files()).await? {
            None => whole.push(found),
            Some(reason) => rebuilt.lost.push((title(&found.manifest), reason)),
        }
    }
    store(app, owner, people, &whole, &files.sound).await?;
    (rebuilt.versions, rebuilt.blobs) = (whole.len(), files.sound.len());
    Ok(rebuilt)
}

fn title(manifest: &Artifact) -> String {
    format!("{}@{}", manifest.name(), manifest.version())
}

/// Every manifest that is what its key says, in the order of names and versions.
async fn manifests(storage: &Storage, lost: &mut Vec<(String, String)>) -> Result<Vec<Found>, RebuildError> {
    let mut found = Vec::new();
    let mut listed = storage.list(&Key::manifests());
    while let Some(object) = listed.try_next().await? {
        let key = object.key.to_string();
        let Some(digest) = object.key.digest() else {
            lost.push((key, "its key is no digest".to_owned()));
            continue;
        };
        if object.size > MAX_MANIFEST_BYTES as u64 {
            lost.push((key, format!("it has {} bytes", object.size)));
            continue;
        }
        let bytes = storage.head(&object.key, object.size).await?;
        if Digest::of(&bytes) != digest {
            lost.push((key, "its bytes have another digest".to_owned()));
            continue;
        }
        match (Artifact::parse(&bytes), String::from_utf8(bytes.to_vec())) {
            (Ok(manifest), Ok(bytes)) => found.push(Found { manifest, bytes, at: object.modified }),
            (Err(error), _) => lost.push((key, error.to_string())),
            (_, Err(error)) => lost.push((key, error.to_string())),
        }
    }
    found.sort_by(|a, b| {
        let key = |found: &Found| (found.manifest.name().clone(), found.manifest.version().clone());
        key(a).cmp(&key(b))
    });
    Ok(found)
}

/// Every object that says it is a file, by the digest in its key.
async fn objects(storage: &Storage) -> Result<BTreeMap<Digest, Vec<(Key, u64)>>, RebuildError> {
    let mut objects: BTreeMap<Digest, Vec<(Key, u64)>> = BTreeMap::new();
    let mut listed = storage.list(&Key::blobs());
    while let Some(object) = listed.try_next().await? {
        if let Some(digest) = object.key.digest() {
            objects.entry(digest).or_default().push((object.key, object.size));
        }
    }
    Ok(objects)
}

/// The files in the storage, as far as they were looked at.
struct Files<'a> {
    storage: &'a Storage,
    objects: BTreeMap<Digest, Vec<(Key, u64)>>,
    /// Those whose bytes were read and have the right digest.
    sound: BTreeMap<Digest, (Key, u64)>,
}

impl Files<'_> {
    /// Why a version can't come back; `None` when every file of it is there and whole.
    async fn check(&mut self, files: &[FileEntry]) -> Result<Option<String>, RebuildError> {
        for file in files {
            if self.sound.contains_key(&file.digest) {
                continue;
            }
            let candidates = self.objects.get(&file.digest).cloned().unwrap_or_default();
            let there = !candidates.is_empty();
            for (key, size) in candidates {
                if size == file.size && hash(self.storage, &key).await? == file.digest {
                    self.sound.insert(file.digest, (key, size));
                    break;
                }
            }
            if !self.sound.contains_key(&file.digest) {
                let what = if there { "is damaged" } else { "is missing" };
                return Ok(Some(format!("its file `{}` ({}) {what}", file.path, file.digest)));
            }
        }
        Ok(None)
    }
}

async fn hash(storage: &Storage, key: &Key) -> Result<Digest, RebuildError> {
    let mut body = storage.get(key, None).await?;
    let mut hasher = DigestHasher::default();
    while let Some(piece) = body.try_next().await? {
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}

/// Writes every row in one transaction.
async fn store(
    app: &App,
    owner: &Namespace,
    people: &[Namespace],
    found: &[Found],
    files: &BTreeMap<Digest, (Key, u64)>,
) -> Result<(), RebuildError> {
    let permit = may(&Actor::Operator, Administer, &Resource::Registry)?;
    let founding = may(&Actor::Operator, CreateOrganisation, &Resource::Registry)?;
    let mut tx = app.db.write().await?;
    match app.storage.size(&Key::identity()).await {
        Ok(length) => {
            let id = app.storage.head(&Key::identity(), length.min(MAX_IDENTITY_BYTES)).await?;
            identity::adopt(&mut tx, &String::from_utf8_lossy(&id)).await?;
        }
        Err(StorageError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for person in people.iter().chain([owner]).collect::<BTreeSet<_>>() {
        if !users::found(&mut tx, &permit, &founding, person).await? {
            return Err(RebuildError::NotEmpty);
        }
    }
    for (digest, (key, size)) in files {
        blobs::insert(&mut tx, digest, *size, key).await?;
    }
    for Found { manifest, bytes, at } in found {
        let id = manifest.name();
        if namespaces::insert(&mut tx, &founding, &id.namespace).await? {
            members::found(&mut tx, &founding, &id.namespace, owner).await?;
        }
        let resource = Resource::Adapter { id: id.clone(), role: None, exists: false };
        let publishing = may(&Actor::Operator, Publish, &resource)?;
        let adapter = adapters::ensure(&mut tx, &publishing, id, manifest.kind(), Visibility::Private)
            .await?
            .ok_or(RebuildError::NotEmpty)?;
        versions::restore(&mut tx, &permit, &adapter, manifest, bytes, owner, *at).await?;
    }
    // Whoever follows this registry goes on: what comes back counts on from what they saw.
    changes::leap(&mut tx).await?;
    for adapter in adapters::every(&mut tx).await? {
        listings::refresh(&mut tx, &adapter).await?;
    }
    Ok(tx.commit().await?)
}
