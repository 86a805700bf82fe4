//! One journal: a line per pull, appended at once.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use hub_schemas::digest::Digest;

use crate::db::pulls::Counts;

const EXTENSION: &str = "pulls";

/// A journal that this process writes; locked as long as it lives.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Begins the journal `id`.
    pub(super) fn create(folder: &Path, id: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(id).with_extension(EXTENSION);
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Self { file, path })
    }

    /// Appends a pull. One write: a line is there as a whole or torn at the end of the file.
    pub(super) fn write(&mut self, manifest: &Digest, day: i64) -> io::Result<()> {
        self.file.write_all(format!("{manifest} {day}\n").as_bytes())
    }

    /// Where it lies; the lock ends.
    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }
}

/// The journals in a folder, by name.
pub(super) fn left_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let journals = paths.filter(|path| path.extension().is_some_and(|found| found == EXTENSION));
    let named = |path: PathBuf| Some((path.file_stem()?.to_str()?.to_owned(), path));
    journals.filter_map(named).collect()
}

/// What a journal counts; `None` while the process that writes it lives. A line that
/// was torn, by a crash or a full disk, counts nothing.
pub(super) fn read(path: &Path) -> Option<Counts> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    let text = fs::read(path).ok()?;
    let mut counts = Counts::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(pull) = parse(line) {
            *counts.entry(pull).or_default() += 1;
        }
    }
    Some(counts)
}

fn parse(line: &[u8]) -> Option<(Digest, i64)> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (digest, day) = line.split_once(' ')?;
    Some((digest.parse().ok()?, day.parse().ok()?))
}
