//! Why the storage failed.

use std::{error::Error, io};

use crate::cause::causes;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// No room is left.
    #[error("the storage is full: {0}")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    /// There is no such object.
    #[error("the storage lacks an object: {0}")]
    NotFound(#[source] Box<dyn Error + Send + Sync>),
    /// It can't be reached, refuses the registry's keys, or does not answer as it should.
    #[error("the storage does not answer: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The parts of an object are not the ones that were acknowledged.
    #[error("the storage has other parts than those that were acknowledged: {0}")]
    OtherParts(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the storage failed: {0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a body could not be stored.
#[derive(Debug)]
pub(crate) enum PutError<E> {
    /// The body itself failed or was not accepted.
    Body(E),
    /// The storage failed.
    Storage(StorageError),
}

impl<E> From<StorageError> for PutError<E> {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) {
            return Self::NotFound(Box::new(error));
        }
        if is_full(&error) {
            return Self::Full(Box::new(error));
        }
        match error {
            // What is left of a request to S3 after every retry; keys are renewed by whoever runs it.
            object_store::Error::Generic { store: "S3", .. }
            | object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::Unavailable(Box::new(error)),
            _ => Self::Other(Box::new(error)),
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(Box::new(error)),
            _ if is_full(&error) => Self::Full(Box::new(error)),
            _ => Self::Other(Box::new(error)),
        }
    }
}

/// Looks for the system's "no space" anywhere in the chain of causes.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
    causes(error).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| kinds.contains(&e.kind())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_through_every_wrapper() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic { store: "local", source: Box::new(full) };
        assert!(matches!(StorageError::from(wrapped), StorageError::Full(_)));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(StorageError::from(denied), StorageError::Other(_)));
    }
}
