//! A local file that requests append to, one after the other: the bytes of an upload are written once, and
//! the file becomes the blob.
//!
//! Whoever appends holds a claim: a file beside it that only one can make, on a folder that several servers
//! share too. It goes away behind the last write, whatever became of the request. That of a killed server
//! stays, and nobody appends to that file any more: what follows goes into another one.
//!
//! While a piece is written and hashed, each on a thread of its own, the next one is received, and what was written
//! before goes to the disk: little is left to flush in the end.

mod claim;
mod names;
mod work;

use std::{
    fs::{self, OpenOptions},
    io::{Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use hub_schemas::digest::{Digest, DigestHasher};
use tokio::task::spawn_blocking;

use self::{
    claim::{Claim, Open},
    names::{link, make_folder, put_in_place, sync_folders},
    work::{EarlyFlush, Pending, Turn, finished},
};
use super::{Key, Storage, StorageError};

/// Bytes that are written at once: worth waking a thread, and two of them are held for each file.
const WORTH_A_WRITE: usize = 512 << 10;

/// A claim on a file, which is not opened yet.
pub(crate) struct Claimed {
    root: PathBuf,
    path: PathBuf,
    claim: Claim,
}

/// A file that is appended to.
pub(crate) struct Growing {
    root: PathBuf,
    open: Turn<Open>,
    hasher: Turn<DigestHasher>,
    pending: Pending,
    early: EarlyFlush,
}

impl Storage {
    /// Whether parts are files that can grow.
    pub(crate) const fn has_growing_files(&self) -> bool {
        self.root.is_some()
    }

    /// Lets the caller alone append to `key`; `None` where somebody else does, or did when their server was
    /// killed. What was acknowledged of it is looked up after this: it may have grown before.
    pub(crate) async fn claim(&self, key: &Key) -> Result<Option<Claimed>, StorageError> {
        let (root, path, marker) = self.paths(key)?;
        let claim = finished(spawn_blocking(move || Claim::take(marker))).await?;
        Ok(claim.map(|claim| Claimed { root, path, claim }))
    }

    /// Makes the file `key`, which the caller alone appends to; `None` where somebody else does. `hasher` has seen
    /// what lies before it, in other files.
    pub(crate) async fn create_growing(
        &self,
        key: &Key,
        hasher: DigestHasher,
    ) -> Result<Option<Growing>, StorageError> {
        let (root, path, marker) = self.paths(key)?;
        let opened = spawn_blocking(move || {
            let Some(claim) = Claim::take(marker)? else { return Ok(None) };
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            Ok(Some(Open { file, path, is_passing: true, claim: Arc::new(claim) }))
        });
        Ok(finished(opened).await?.map(|open| Growing::new(root, open, hasher)))
    }

    /// Where files lie, `key`, and its claim.
    fn paths(&self, key: &Key) -> Result<(PathBuf, PathBuf, PathBuf), StorageError> {
        let root = self.root_of_files()?.to_owned();
        let (path, marker) = (root.join(key.to_string()), root.join(format!("{key}.claim")));
        Ok((root, path, marker))
    }

    /// Gives a file of `size` bytes, which nobody appends to any more, another key.
    pub(crate) async fn rename(&self, from: &Key, to: &Key, size: u64) -> Result<(), StorageError> {
        let root = self.root_of_files()?.to_owned();
        let (from, to) = (root.join(from.to_string()), root.join(to.to_string()));
        let renamed = spawn_blocking(move || {
            let found = fs::metadata(&from)?.len();
            if found == size { put_in_place(&root, &from, &to).map(|()| found) } else { Ok(found) }
        });
        match finished(renamed).await? {
            found if found == size => Ok(()),
            found => Err(StorageError::OtherParts(format!("{found} bytes instead of {size}").into())),
        }
    }

    fn root_of_files(&self) -> Result<&Path, StorageError> {
        self.root.as_deref().ok_or_else(|| {
            StorageError::Other("an upload was begun on a store of another kind than this one".into())
        })
    }
}

impl Claimed {
    /// Opens the file behind its first `length` bytes, all that were acknowledged. `hasher` has seen them, and
    /// what was acknowledged before them.
    pub(crate) async fn continued(self, length: u64, hasher: DigestHasher) -> Result<Growing, StorageError> {
        let Self { root, path, claim } = self;
        let opened = spawn_blocking(move || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(Open { file, path, is_passing: false, claim: Arc::new(claim) })
        });
        Ok(Growing::new(root, finished(opened).await?, hasher))
    }
}

impl Growing {
    fn new(root: PathBuf, open: Open, hasher: DigestHasher) -> Self {
        let (pending, early) = (Pending::default(), EarlyFlush::default());
        Self { root, open: Turn::Here(open), hasher: Turn::Here(hasher), pending, early }
    }

    /// Appends a piece.
    pub(crate) async fn push(&mut self, piece: Bytes) -> Result<(), StorageError> {
        self.pending.add(piece);
        if self.pending.size >= WORTH_A_WRITE { self.write().await } else { Ok(()) }
    }

    /// Has other threads hash and write what came, once that is done with what came before.
    async fn write(&mut self) -> Result<(), StorageError> {
        let (hasher, mut open) = (self.hasher.back().await?, self.open.back().await?);
        self.early.tend(&open).await?;
        let pending = std::mem::take(&mut self.pending);
        self.early.written += pending.size;
        let hashed = pending.clone();
        self.hasher.lend(move || Ok(hashed.hash(hasher)));
        self.open.lend(move || pending.write(&mut open.file).map(|()| open));
        Ok(())
    }

    /// Makes everything up to here survive a power cut, and the file be found under its name; the hash of it.
    pub(crate) async fn keep(&mut self) -> Result<DigestHasher, StorageError> {
        self.write().await?;
        let (mut open, root) = (self.open.back().await?, self.root.clone());
        self.early.end().await?;
        self.open.lend(move || {
            open.file.sync_data()?;
            if open.is_passing {
                sync_folders(&open.path, &root)?;
                open.is_passing = false;
            }
            Ok(open)
        });
        let (open, hasher) = (self.open.back().await?, self.hasher.back().await?);
        self.open = Turn::Here(open);
        self.hasher = Turn::Here(hasher.clone());
        Ok(hasher)
    }

    /// Makes the file, of which nobody was told, the object `key` if its bytes have this digest; else the one that
    /// they have, and nothing is left.
    ///
    /// The file gets its name while its last bytes go to the disk: one wait instead of two. Until this returns nobody
    /// is told of the object, and after a power cut, or where the flush fails, it is one without a row.
    pub(crate) async fn become_object(
        mut self,
        key: &Key,
        digest: &Digest,
    ) -> Result<Result<(), Digest>, StorageError> {
        let (hasher, mut open) = (self.hasher.back().await?, self.open.back().await?);
        let (to, pending, root) = (self.root.join(key.to_string()), self.pending, self.root);
        let folder = to.parent().unwrap_or(&root).to_owned();
        let (wanted, from, last) = (*digest, open.path.clone(), pending.clone());
        let flushed = spawn_blocking(move || {
            last.write(&mut open.file)?;
            open.file.sync_data().map(|()| open)
        });
        let made = spawn_blocking({
            let (root, folder) = (root.clone(), folder.clone());
            move || make_folder(&root, &folder)
        });
        let named = spawn_blocking({
            let (root, to) = (root.clone(), to.clone());
            move || {
                let found = pending.hash(hasher).finish();
                if found == wanted { link(&root, &from, &to).map(Ok) } else { Ok(Err(found)) }
            }
        });
        // An earlier flush tells itself what failed.
        self.early.end().await?;
        let (named, made, open) = (finished(named).await, finished(made).await, finished(flushed).await?);
        made?;
        match named? {
            Ok(true) => Ok(Ok(())),
            // Now that it is flushed, it may take the place of another one.
            Ok(false) => finished(spawn_blocking(move || put_in_place(&root, &open.path, &to))).await.map(Ok),
            Err(found) => {
                finished(spawn_blocking(move || {
                    drop(open);
                    // Fails where there is something in it.
                    drop(fs::remove_dir(folder));
                    Ok(Err(found))
                }))
                .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{work::WORTH_A_FLUSH, *};

    fn storage() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::local(folder.path()).expect("a storage");
        (folder, storage)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let inside = |item: fs::DirEntry| {
            let path = item.path();
            if path.is_dir() { files(&path) } else { vec![path] }
        };
        fs::read_dir(folder).expect("lists").flatten().flat_map(inside).collect()
    }

    async fn created(storage: &Storage, key: &Key) -> Growing {
        let made = storage.create_growing(key, DigestHasher::default()).await;
        made.expect("opens").expect("is free")
    }

    async fn claimed(storage: &Storage, key: &Key) -> Claimed {
        storage.claim(key).await.expect("asks").expect("is free")
    }

    #[tokio::test]
    async fn one_at_a_time_appends_behind_what_was_acknowledged() {
        let (folder, storage) = storage();
        let (part, blob) = (Key::part("u", 0, "x"), Key::first_blob(&Digest::of(b"")));
        let mut growing = created(&storage, &part).await;
        growing.push(Bytes::from_static(b"one ")).await.expect("writes");
        growing.push(Bytes::from_static(b"two ")).await.expect("writes");
        let hasher = growing.keep().await.expect("keeps");
        growing.push(Bytes::from_static(b"nobody was told of this")).await.expect("writes");
        assert!(storage.claim(&part).await.expect("asks").is_none(), "somebody else appends");
        // As when a connection breaks: the claim goes with the last write.
        growing.write().await.expect("writes");
        drop(growing.open.back().await.expect("writes"));
        drop(growing);
        let mut growing = claimed(&storage, &part).await.continued(8, hasher).await.expect("opens");
        growing.push(Bytes::from_static(b"three")).await.expect("writes");
        let hasher = growing.keep().await.expect("keeps");
        assert_eq!(hasher.finish(), Digest::of(b"one two three"));
        drop(growing);
        storage.rename(&part, &blob, 13).await.expect("renames");
        assert_eq!(storage.head(&blob, 13).await.expect("reads").as_ref(), b"one two three");
        assert_eq!(files(folder.path()).len(), 1);
        let gone = claimed(&storage, &part).await.continued(8, DigestHasher::default()).await;
        assert!(matches!(gone, Err(StorageError::NotFound(_))));
    }

    #[tokio::test]
    async fn what_is_flushed_while_more_comes_is_whole_in_the_end() {
        let (folder, storage) = storage();
        let content: Bytes = (0..3 * WORTH_A_FLUSH).map(|at| (at % 251) as u8).collect();
        let (part, blob) = (Key::part("u", 0, "x"), Key::first_blob(&Digest::of(b"")));
        let mut growing = created(&storage, &part).await;
        for start in (0..content.len()).step_by(WORTH_A_WRITE / 8) {
            // As bodies come: now and then an empty piece.
            growing.push(Bytes::new()).await.expect("writes");
            growing.push(content.slice(start..start + WORTH_A_WRITE / 8)).await.expect("writes");
        }
        assert!(growing.early.running.is_some(), "nothing was flushed early");
        growing.become_object(&blob, &Digest::of(&content)).await.expect("renames").expect("its digest");
        assert_eq!(files(folder.path()).len(), 1);
        assert_eq!(storage.head(&blob, content.len() as u64).await.expect("reads"), content);
    }

    #[tokio::test]
    async fn a_file_of_which_nobody_was_told_goes_with_its_request_unless_it_is_whole() {
        let (folder, storage) = storage();
        let (part, blob) = (Key::part("u", 0, "x"), Key::first_blob(&Digest::of(b"")));
        let mut growing = created(&storage, &part).await;
        growing.push(Bytes::from_static(b"half")).await.expect("writes");
        growing.write().await.expect("writes");
        growing.open = Turn::Here(growing.open.back().await.expect("writes"));
        drop(growing);
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
        let mut growing = created(&storage, &part).await;
        growing.push(Bytes::from_static(b"other")).await.expect("writes");
        let other = growing.become_object(&blob, &Digest::of(b"whole")).await.expect("looks");
        assert_eq!(other, Err(Digest::of(b"other")));
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
        let mut growing = created(&storage, &part).await;
        growing.push(Bytes::from_static(b"whole")).await.expect("writes");
        growing.become_object(&blob, &Digest::of(b"whole")).await.expect("renames").expect("its digest");
        assert_eq!(files(folder.path()).len(), 1);
        assert_eq!(storage.head(&blob, 5).await.expect("reads").as_ref(), b"whole");
    }

    #[tokio::test]
    async fn two_that_become_the_same_object_both_are_told_so_and_leave_one_file() {
        let (folder, storage) = storage();
        let blob = Key::first_blob(&Digest::of(b""));
        let mut both = Vec::new();
        for name in ["x", "y"] {
            let mut growing = created(&storage, &Key::part("u", 0, name)).await;
            growing.push(Bytes::from_static(b"whole")).await.expect("writes");
            both.push(growing);
        }
        for growing in both {
            growing.become_object(&blob, &Digest::of(b"whole")).await.expect("names").expect("its digest");
        }
        assert_eq!(files(folder.path()), [folder.path().join(blob.to_string())]);
        assert_eq!(storage.head(&blob, 5).await.expect("reads").as_ref(), b"whole");
    }
}
