//! Who may append to a file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::PathBuf,
    sync::Arc,
};

use super::names::ATTEMPTS;

/// The file that says that another one is appended to.
pub(super) struct Claim(PathBuf);

impl Claim {
    /// Makes it; `None` where there is one.
    pub(super) fn take(marker: PathBuf) -> io::Result<Option<Self>> {
        let mut attempt = 0;
        loop {
            fs::create_dir_all(marker.parent().unwrap_or(&marker))?;
            attempt += 1;
            match OpenOptions::new().write(true).create_new(true).open(&marker) {
                Ok(_) => return Ok(Some(Self(marker))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Where this fails, what follows goes into another file.
        drop(fs::remove_file(&self.0));
        if let Some(folder) = self.0.parent() {
            drop(fs::remove_dir(folder));
        }
    }
}

/// A file that is open to be appended to. It is closed before the claim is gone, by whoever has it last.
pub(super) struct Open {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Nobody was told of it: it goes with the request.
    pub(super) is_passing: bool,
    pub(super) claim: Arc<Claim>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_passing {
            // What this leaves behind is found as an object without a row.
            drop(fs::remove_file(&self.path));
        }
    }
}
