//! Names of files that survive a power cut.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Folders are removed when they are empty: one that was there a moment ago may be gone.
pub(super) const ATTEMPTS: u32 = 5;

/// Gives a file that is not flushed yet another name, which survives a power cut; `false` where something has it,
/// which another request may have flushed and been told of, or where files have one name only.
pub(super) fn link(root: &Path, from: &Path, to: &Path) -> io::Result<bool> {
    let folder = to.parent().unwrap_or(root);
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(root).to_owned();
    if fs::create_dir_all(folder).and_then(|()| fs::hard_link(from, to)).is_err() {
        return Ok(false);
    }
    fs::remove_file(from)?;
    sync_folders(to, &there).map(|()| true)
}

/// Makes a folder that survives a power cut, for [`put_in_place`]. Whoever made some of it a moment ago may not have
/// come that far.
pub(super) fn make_folder(root: &Path, folder: &Path) -> io::Result<()> {
    match fs::create_dir_all(folder).and_then(|()| sync_folders(folder, root)) {
        // Somebody removed what was empty: it is made again when there is a file for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Gives a file another name, which survives a power cut.
pub(super) fn put_in_place(root: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(root);
    let mut attempt = 0;
    loop {
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(root).to_owned();
        fs::create_dir_all(folder)?;
        attempt += 1;
        match fs::rename(from, to) {
            Ok(()) => return sync_folders(to, &there),
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS && from.exists() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the name of a file survive a power cut, and those of the folders around it below `there`.
pub(super) fn sync_folders(file: &Path, there: &Path) -> io::Result<()> {
    let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(there));
    // Elsewhere than on Unix folders can't be opened, and need not be.
    if cfg!(unix) { folders.map(File::open).try_for_each(|folder| folder?.sync_all()) } else { Ok(()) }
}
