//! Database and storage belong together: a server that removes unused files must
//! never be pointed at the files of another registry.

use bytes::Bytes;

use crate::{
    app::{App, StartError},
    db::identity,
    storage::{Key, StorageError},
};

/// An identifier is shorter; anything longer is somebody else's object.
const MAX_BYTES: u64 = 64;

/// Refuses a storage that another registry's database uses, and claims one that none uses.
pub(crate) async fn check(app: &App) -> Result<(), StartError> {
    if app.read_only {
        // An empty storage is claimed by the first server that may write.
        return compare(app).await.map(drop);
    }
    let ours = identity::of(&app.db).await.map_err(|e| StartError::Identity(e.to_string()))?;
    let failed = |error: StorageError| StartError::Identity(error.to_string());
    let key = Key::identity();
    if app.storage.create(&key, Bytes::from(ours)).await.map_err(failed)? {
        return Ok(());
    }
    compare(app).await.map(drop)
}

/// Refuses a storage that another registry's database uses; `false` for one that none uses.
pub(crate) async fn compare(app: &App) -> Result<bool, StartError> {
    let failed = |error: StorageError| StartError::Identity(error.to_string());
    let ours = identity::find(&app.db).await.map_err(|e| StartError::Identity(e.to_string()))?;
    let key = Key::identity();
    let length = match app.storage.size(&key).await {
        Ok(length) => length.min(MAX_BYTES),
        Err(StorageError::NotFound(_)) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let found = app.storage.head(&key, length).await.map_err(failed)?;
    if ours.as_ref().is_some_and(|ours| found == ours.as_bytes()) {
        return Ok(true);
    }
    let ours = ours.unwrap_or_default();
    Err(StartError::OtherRegistry { ours, found: String::from_utf8_lossy(&found).into_owned() })
}
