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
    let ours = identity::of(&app.db).await.map_err(|e| StartError::Identity(e.to_string()))?;
    let failed = |error: StorageError| StartError::Identity(error.to_string());
    let key = Key::identity();
    if app.storage.create(&key, Bytes::from(ours.clone())).await.map_err(failed)? {
        return Ok(());
    }
    let length = app.storage.size(&key).await.map_err(failed)?.min(MAX_BYTES);
    let found = app.storage.head(&key, length).await.map_err(failed)?;
    if found == ours.as_bytes() {
        return Ok(());
    }
    Err(StartError::OtherRegistry { ours, found: String::from_utf8_lossy(&found).into_owned() })
}
