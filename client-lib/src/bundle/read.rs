//! Reading a bundle that nobody vouches for.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufReader, Read, Write as _},
    path::Path,
};

use hub_schemas::{
    Digest, DigestHasher, canonical,
    manifest::{Artifact, MAX_MANIFEST_BYTES},
};

use super::{
    BUNDLE_VERSION, BundleError, BundleIndex, BundledVersion,
    format::{MAX_INDEX_BYTES, MAX_MANIFESTS_BYTES, Member},
};
use crate::{
    cache::{Cache, Entry},
    exchange::{check_fit, sweep_unneeded},
    registry::Reporter,
};

/// What an import did.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Every version of the bundle as it lies in the cache now, in the bundle's order.
    pub entries: Vec<Entry<Artifact>>,
    /// Bytes of files that the cache did not have.
    pub added: u64,
}

/// Puts every version of the bundle at `path` into the cache, as if it had been pulled from the
/// cache's registry.
///
/// Everything is verified before anything is put in place: digests and rules of manifests, digest
/// and size of every file, the fit of configurations and tensor shapes, the digest of base models'
/// weights. What is refused leaves nothing.
pub async fn import_bundle(
    cache: &Cache,
    path: &Path,
    reporter: &dyn Reporter,
) -> Result<Imported, BundleError> {
    let adding = cache.lock_for_adding(reporter).await?;
    let mut kept = Vec::new();
    let result = import(cache, path, reporter, &mut kept).await;
    if result.is_err() {
        drop(adding);
        sweep_unneeded(cache, kept).await?;
    }
    result
}

async fn import(
    cache: &Cache,
    path: &Path,
    reporter: &dyn Reporter,
    kept: &mut Vec<Digest>,
) -> Result<Imported, BundleError> {
    let file = File::open(path).map_err(|source| BundleError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file));
    let mut contents = Contents::default();
    let mut added = 0;
    // Raw: extensions of the format would be read into memory whole before anybody could look.
    for member in archive.entries().map_err(BundleError::Archive)?.raw(true) {
        let mut member = member.map_err(BundleError::Archive)?;
        let shown = || String::from_utf8_lossy(&member.path_bytes()).escape_debug().to_string();
        if !member.header().entry_type().is_file() {
            return Err(BundleError::NotAFile(shown()));
        }
        let size = member.header().entry_size().map_err(BundleError::Archive)?;
        match Member::of(&member.path_bytes())? {
            Member::Index => contents.index(&bounded(&mut member, &Member::Index, size, MAX_INDEX_BYTES)?)?,
            at @ Member::Manifest(digest) => {
                let bytes = bounded(&mut member, &at, size, MAX_MANIFEST_BYTES as u64)?;
                contents.manifest(digest, bytes)?;
            }
            Member::Blob(digest) => {
                contents.blob(digest, size)?;
                let _alone = cache.lock_thing(&digest.hex(), reporter).await?;
                if !cache.has_blob(&digest, size) {
                    keep(cache, digest, &mut member)?;
                    kept.push(digest);
                    added += size;
                }
            }
        }
    }
    contents.check_complete(cache)?;
    let entries = put_in_place(cache, &contents)?;
    Ok(Imported { entries, added })
}

/// What has been read so far.
#[derive(Default)]
struct Contents {
    versions: Option<Vec<BundledVersion>>,
    manifests: BTreeMap<Digest, (Artifact, Vec<u8>)>,
    manifest_bytes: u64,
    seen: HashSet<Digest>,
    /// Sizes that manifests state.
    expected: BTreeMap<Digest, u64>,
}

impl Contents {
    fn index(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        if self.versions.is_some() {
            return Err(BundleError::Repeated(Member::Index.path()));
        }
        let wrong = |reason: &dyn std::fmt::Display| BundleError::Index(reason.to_string());
        let value = canonical::parse(bytes).map_err(|e| wrong(&e))?;
        // The format first: a later one may have other fields.
        let format = value.get("bundle_version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if format != u64::from(BUNDLE_VERSION) {
            return Err(BundleError::UnknownFormat(u32::try_from(format).unwrap_or(u32::MAX)));
        }
        let index: BundleIndex = serde_json::from_value(value).map_err(|e| wrong(&e))?;
        let mut names = HashSet::new();
        let twice = index.versions.iter().find(|v| !names.insert((v.name.clone(), v.version.clone())));
        if let Some(version) = twice {
            return Err(wrong(&format!("`{}` stands twice", version.title())));
        }
        if index.versions.is_empty() {
            return Err(wrong(&"it lists no version"));
        }
        self.versions = Some(index.versions);
        Ok(())
    }

    fn listed(&self) -> &[BundledVersion] {
        self.versions.as_deref().unwrap_or_default()
    }

    fn manifest(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<(), BundleError> {
        let member = Member::Manifest(digest);
        if self.versions.is_none() {
            return Err(BundleError::Order { found: member.path(), expected: Member::Index.path() });
        }
        if self.manifests.contains_key(&digest) {
            return Err(BundleError::Repeated(member.path()));
        }
        let Some(listed) = self.listed().iter().find(|v| v.digest == digest).cloned() else {
            return Err(BundleError::UnknownMember(member.path()));
        };
        let title = listed.title();
        self.manifest_bytes += bytes.len() as u64;
        if self.manifest_bytes > MAX_MANIFESTS_BYTES {
            let member = "manifests".to_owned();
            return Err(BundleError::TooLarge {
                member,
                bytes: self.manifest_bytes,
                max: MAX_MANIFESTS_BYTES,
            });
        }
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(BundleError::Damaged { member: member.path(), found });
        }
        let manifest = Artifact::parse(&bytes)
            .map_err(|source| BundleError::Manifest { title: title.clone(), source })?;
        if *manifest.name() != listed.name
            || *manifest.version() != listed.version
            || manifest.kind() != listed.kind
        {
            let found = format!("{}@{}", manifest.name(), manifest.version());
            return Err(BundleError::OtherVersion { title, found });
        }
        for file in manifest.files() {
            self.expected.insert(file.digest, file.size);
        }
        self.manifests.insert(digest, (manifest, bytes));
        Ok(())
    }

    /// Whether a file may come now: all manifests did, one of them lists it with this size, and it
    /// has not come yet.
    fn blob(&mut self, digest: Digest, size: u64) -> Result<(), BundleError> {
        let member = Member::Blob(digest);
        self.check_manifests()
            .map_err(|missing| BundleError::Order { found: member.path(), expected: missing.path() })?;
        match self.expected.get(&digest) {
            None => return Err(BundleError::UnknownMember(member.path())),
            Some(&max) if max != size => {
                return Err(BundleError::TooLarge { member: member.path(), bytes: size, max });
            }
            Some(_) => {}
        }
        if self.seen.insert(digest) { Ok(()) } else { Err(BundleError::Repeated(member.path())) }
    }

    /// The first manifest, or the list of them, that has not come.
    fn check_manifests(&self) -> Result<(), Member> {
        let Some(versions) = &self.versions else { return Err(Member::Index) };
        match versions.iter().find(|v| !self.manifests.contains_key(&v.digest)) {
            None => Ok(()),
            Some(version) => Err(Member::Manifest(version.digest)),
        }
    }

    fn check_complete(&self, cache: &Cache) -> Result<(), BundleError> {
        self.check_manifests().map_err(|missing| BundleError::Missing(missing.path()))?;
        match self.expected.iter().find(|(digest, size)| !cache.has_blob(digest, **size)) {
            None => Ok(()),
            Some((digest, _)) => Err(BundleError::Missing(Member::Blob(*digest).path())),
        }
    }
}

/// The whole of a member that is held in memory.
fn bounded(source: &mut impl Read, member: &Member, size: u64, max: u64) -> Result<Vec<u8>, BundleError> {
    if size > max {
        return Err(BundleError::TooLarge { member: member.path(), bytes: size, max });
    }
    let mut bytes = Vec::new();
    source.take(max).read_to_end(&mut bytes).map_err(BundleError::Archive)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(ended_early()) }
}

fn ended_early() -> BundleError {
    BundleError::Archive(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "it ends early"))
}

/// Streams a file into the store, hashing it on the way.
fn keep(cache: &Cache, digest: Digest, source: &mut impl Read) -> Result<(), BundleError> {
    let path = cache.partial_path(&digest)?;
    let failed = |source| BundleError::Io { action: "write", path: path.clone(), source };
    let mut write = || {
        let mut file = File::create(&path).map_err(failed)?;
        let mut hasher = DigestHasher::default();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = source.read(&mut buffer).map_err(BundleError::Archive)?;
            if read == 0 {
                break;
            }
            let piece = buffer.get(..read).unwrap_or_default();
            hasher.update(piece);
            file.write_all(piece).map_err(failed)?;
        }
        let found = hasher.finish();
        if found != digest {
            return Err(BundleError::Damaged { member: Member::Blob(digest).path(), found });
        }
        file.sync_all().map_err(failed)
    };
    let written: Result<(), BundleError> = write();
    if written.is_err() {
        // A pull would take it for the beginning of a download.
        let _ = std::fs::remove_file(&path);
    }
    written?;
    Ok(cache.keep_blob(&digest)?)
}

/// Puts every version in place, after all of them were checked.
fn put_in_place(cache: &Cache, contents: &Contents) -> Result<Vec<Entry<Artifact>>, BundleError> {
    let mut entries = Vec::new();
    let mut staged = Vec::new();
    for version in contents.listed() {
        let there = cache.entry(&version.name, &version.version);
        if let Some(other) = there.filter(|entry| entry.digest != version.digest) {
            let (name, version) = (version.name.clone(), version.version.clone());
            return Err(BundleError::Conflict { name, version, found: other.digest });
        }
        let Some((manifest, bytes)) = contents.manifests.get(&version.digest) else {
            return Err(BundleError::Missing(Member::Manifest(version.digest).path()));
        };
        let folder = cache.stage(manifest, bytes)?;
        check_fit(manifest, folder.folder())
            .map_err(|source| BundleError::Misfit { title: version.title(), source: Box::new(source) })?;
        staged.push(folder);
    }
    for folder in staged {
        entries.push(folder.commit()?);
    }
    Ok(entries)
}
