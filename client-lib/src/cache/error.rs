//! Why the local store could not be used.

use std::{io, path::PathBuf};

/// Why the local store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Reading or writing failed.
    #[error("can't {action} `{path}`: {source}")]
    Io {
        /// `read`, `write` or `remove`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CacheError {
    pub(super) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "read", path: path.into(), source }
    }

    pub(super) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "write", path: path.into(), source }
    }

    pub(super) fn remove(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: "remove", path: path.into(), source }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        let Self::Io { source, .. } = self;
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Some("free some space (`hub list` shows what the cache holds), then run the same command again: it continues".into())
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("`hub config set cache DIR` puts the cache elsewhere".into())
            }
            _ => None,
        }
    }
}
