//! A clock that a test sets, for one server: libfaketime between the program and the system.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

/// The date of a server, as what is added to the real one. The clock that only counts stays the real one.
#[derive(Debug)]
pub struct FakeClock {
    folder: TempDir,
}

impl FakeClock {
    /// The real date, until it is set.
    pub fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a folder") };
        clock.set(time::Duration::ZERO);
        clock
    }

    /// Lets it jump to so far from the real date.
    pub fn set(&self, apart: time::Duration) {
        // Renamed: the server reads it whole at any moment.
        let beside = self.folder.path().join("new");
        std::fs::write(&beside, format!("{:+}\n", apart.whole_seconds())).expect("writes");
        std::fs::rename(beside, self.file()).expect("renames");
    }

    /// Puts it before a program that was not started yet.
    pub(super) fn wind(&self, program: &mut Command) {
        program
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Below a folder that is named after the processor.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|file| file.is_file());
    found.expect("libfaketime is not installed: run scripts/debian-packages")
}
