//! `hub-server export` and `hub-server import`

use std::path::Path;

use super::AdminError;
use crate::{app::App, archive};

/// Writes the whole registry into a folder.
pub async fn export(app: &App, folder: &Path) -> Result<(), AdminError> {
    let index = archive::export(app, folder).await?;
    tracing::info!(
        blobs.count = index.blobs,
        blobs.size_bytes = index.bytes,
        "Exported {} files of {} bytes, and every row, to `{}`",
        index.blobs,
        index.bytes,
        folder.display(),
    );
    Ok(())
}

/// Reads such a folder into an empty registry.
pub async fn import(app: &App, folder: &Path) -> Result<(), AdminError> {
    app.check_identity().await?;
    let index = archive::import(app, folder).await?;
    tracing::info!(
        blobs.count = index.blobs,
        blobs.size_bytes = index.bytes,
        "Imported {} files of {} bytes, and every row, from `{}`",
        index.blobs,
        index.bytes,
        folder.display(),
    );
    Ok(())
}
