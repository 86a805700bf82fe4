//! Where blocks lie: in memory of their own, or where somebody else keeps them.

use std::{ops::Range, sync::Arc};

/// Bytes of a whole file, mapped or read, that more than one may look at.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The bytes of one matrix.
#[derive(Clone)]
pub(super) enum Bytes {
    Own(Vec<u8>),
    Shared { file: SharedBytes, range: Range<usize> },
}

impl Bytes {
    /// These bytes of a file, where it has them.
    pub(super) fn of(file: &SharedBytes, range: Range<u64>) -> Option<Self> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        (**file).as_ref().get(range.clone())?;
        Some(Self::Shared { file: file.clone(), range })
    }

    pub(super) fn get(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            // A file that has become shorter since is a fault of the map itself, before anything is looked at here.
            Self::Shared { file, range } => (**file).as_ref().get(range.clone()).unwrap_or_default(),
        }
    }
}
