//! One server on one data folder.
//!
//! The embedded database would survive two, but half of what they count, and the
//! answers to whoever asks the other one, would not. The system gives the lock back
//! when the process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
};

use crate::{app::StartError, config::Config};

/// Held for as long as the server runs; nothing to hold where the database is a server.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: Option<File>,
}

impl FolderLock {
    /// Takes the data folder of an embedded database.
    pub(crate) fn take(config: &Config) -> Result<Self, StartError> {
        if config.database_url.is_some() {
            return Ok(Self { file: None });
        }
        let refuse =
            |e: std::io::Error| StartError::Data { path: config.data.clone(), reason: e.to_string() };
        std::fs::create_dir_all(&config.data).map_err(refuse)?;
        let path = config.data.join("server.lock");
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(refuse)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(refuse)?;
                write!(file, "{}", std::process::id()).map_err(refuse)?;
                Ok(Self { file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Only for the message.
                drop(file.read_to_string(&mut process));
                Err(StartError::Locked { path: config.data.clone(), process })
            }
            Err(TryLockError::Error(error)) => Err(refuse(error)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing it is not enough where this process is just starting another one, which has a copy for a moment.
        if let Some(file) = &self.file {
            drop(file.unlock());
        }
    }
}
