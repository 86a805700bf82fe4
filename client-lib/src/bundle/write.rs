//! Writing a bundle out of the cache.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
};

use hub_formats::checkpoint::read_bounded;
use hub_schemas::{
    Digest, DigestHasher, canonical,
    manifest::{Artifact, MANIFEST_FILE, MAX_MANIFEST_BYTES},
};
use tar::{EntryType, Header};

use super::{BUNDLE_VERSION, BundleError, BundleIndex, BundledVersion, format::Member};
use crate::{cache::Entry, files::sync_folder};

/// Writes `entries`, those that others need first, into a new file at `target`; says how many bytes
/// it has. Every file is hashed on its way out. The file is there whole or not at all.
pub fn write_bundle(target: &Path, entries: &[Entry<Artifact>]) -> Result<u64, BundleError> {
    if target.exists() {
        return Err(BundleError::Exists(target.to_owned()));
    }
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| BundleError::Io { action: "write", path: target.to_owned(), source };
    let file = tempfile::Builder::new().prefix(".hub-").suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    append(&mut archive, &Member::Index, &index(entries)?).map_err(failed)?;
    let mut files: BTreeMap<Digest, (PathBuf, u64)> = BTreeMap::new();
    for entry in entries {
        let path = entry.folder.join(MANIFEST_FILE);
        let bytes = read_bounded(&path, MAX_MANIFEST_BYTES as u64).map_err(|e| BundleError::Io {
            action: "read",
            path: path.clone(),
            source: io::Error::other(e),
        })?;
        intact(&path, entry.digest, Digest::of(&bytes))?;
        append(&mut archive, &Member::Manifest(entry.digest), &bytes).map_err(failed)?;
        for file in entry.manifest.files() {
            files.entry(file.digest).or_insert_with(|| (entry.folder.join(file.path.as_str()), file.size));
        }
    }
    for (digest, (path, size)) in files {
        append_file(&mut archive, digest, &path, size, &failed)?;
    }
    let writer = archive.into_inner().map_err(failed)?;
    let mut file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    file.flush().map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let bytes = file.as_file().metadata().map_err(failed)?.len();
    file.persist_noclobber(target).map_err(|e| failed(e.error))?;
    make_shareable(target).map_err(failed)?;
    sync_folder(folder);
    Ok(bytes)
}

fn index(entries: &[Entry<Artifact>]) -> Result<Vec<u8>, BundleError> {
    let version = |entry: &Entry<Artifact>| BundledVersion {
        name: entry.manifest.name().clone(),
        version: entry.manifest.version().clone(),
        kind: entry.manifest.kind(),
        digest: entry.digest,
    };
    let index =
        BundleIndex { bundle_version: BUNDLE_VERSION, versions: entries.iter().map(version).collect() };
    canonical::to_bytes(&index).map_err(|e| BundleError::Index(e.to_string()))
}

/// The header of a member: nothing in it depends on the machine or the day.
fn header(member: &Member, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(member.path())?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}

fn append(archive: &mut tar::Builder<impl io::Write>, member: &Member, bytes: &[u8]) -> io::Result<()> {
    archive.append(&header(member, bytes.len() as u64)?, bytes)
}

fn append_file(
    archive: &mut tar::Builder<impl io::Write>,
    digest: Digest,
    path: &Path,
    size: u64,
    failed: &impl Fn(io::Error) -> BundleError,
) -> Result<(), BundleError> {
    let unreadable = |source| BundleError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // As many bytes as the header says; the digest shows whether they are the right ones.
    let mut hashed = Hashed { reader: file.take(size), hasher: DigestHasher::default() };
    archive.append(&header(&Member::Blob(digest), size).map_err(failed)?, &mut hashed).map_err(failed)?;
    intact(path, digest, hashed.hasher.finish())
}

fn intact(path: &Path, expected: Digest, found: Digest) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    Err(BundleError::CacheDamaged { path: path.to_owned(), expected, found })
}

/// Temporary files are for their owner only; whoever carries the bundle may be somebody else.
fn make_shareable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A reader whose bytes are hashed as they pass.
struct Hashed<R> {
    reader: R,
    hasher: DigestHasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
