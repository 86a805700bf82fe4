//! `hub-server rebuild`

use hub_schemas::name::Namespace;

use super::{AdminError, print};
use crate::{
    app::App,
    rebuild::{self, Rebuilt},
};

/// Makes names and versions anew from the storage alone; whether all came back.
pub async fn rebuild(app: &App, owner: &Namespace, people: &[Namespace]) -> Result<bool, AdminError> {
    let Rebuilt { versions, blobs, lost } = rebuild::run(app, owner, people).await?;
    for (what, reason) in &lost {
        print(&format!("{what}\t{reason}"))?;
    }
    tracing::info!(
        versions.count = versions,
        blobs.count = blobs,
        lost.count = lost.len(),
        "Rebuilt {versions} versions with {blobs} files; {} are lost. Everything is private and belongs to `{owner}`",
        lost.len(),
    );
    Ok(lost.is_empty())
}
