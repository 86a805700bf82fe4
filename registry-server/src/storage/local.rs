//! Local files: a folder that nothing else writes to.

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use object_store::local::LocalFileSystem;

use super::{LOCAL_WRITE, Storage, StorageError};

impl Storage {
    /// Files below `root`, which is made if it is not there.
    pub(crate) fn local(root: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(root).map_err(StorageError::from)?;
        let store = LocalFileSystem::new_with_prefix(root)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(store),
            prefix: object_store::path::Path::default(),
            write_size: LOCAL_WRITE,
            root: Some(root.to_owned()),
            relay: None,
            multipart: None,
            signer: None,
        })
    }

    /// Removes half-written files that a killed server left and nobody touched for `age`.
    pub(crate) fn remove_half_written(&self, age: Duration) -> io::Result<u64> {
        let (Some(root), Some(before)) = (&self.root, SystemTime::now().checked_sub(age)) else {
            return Ok(0);
        };
        let mut removed = 0;
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            // Folders and files come and go while the server works.
            let Some(entries) = present(fs::read_dir(folder))? else { continue };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if is_half_written(&entry.file_name().to_string_lossy())
                    && present(entry.metadata())?.is_some_and(|m| m.modified().is_ok_and(|at| at < before))
                {
                    removed += u64::from(present(fs::remove_file(entry.path()))?.is_some());
                }
            }
        }
        Ok(removed)
    }
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `object_store` writes to `<name>#<number>` before it renames.
fn is_half_written(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_written_files_of_a_killed_server_are_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::local(folder.path()).expect("a storage");
        fs::create_dir_all(folder.path().join("uploads/u")).expect("makes a folder");
        fs::write(folder.path().join("uploads/u/00-x#1"), b"half").expect("writes");
        assert_eq!(storage.remove_half_written(Duration::from_mins(1)).expect("sweeps"), 0, "too young");
        assert_eq!(storage.remove_half_written(Duration::ZERO).expect("sweeps"), 1);
    }
}
