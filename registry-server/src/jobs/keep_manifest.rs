//! A copy of every manifest beside the files, so that the registry can be rebuilt from its storage
//! alone (`hub-server rebuild`).

use bytes::Bytes;
use hub_schemas::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::{
    app::App,
    db::{WriteTx, versions},
    storage::Key,
};

/// Copies one manifest into the storage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeepManifest {
    digest: Digest,
}

impl KeepManifest {
    /// For the version whose manifest has this digest.
    pub(crate) const fn new(digest: Digest) -> Self {
        Self { digest }
    }

    /// Queues a copy of every manifest, for rows that came from elsewhere.
    pub(crate) async fn enqueue_all(tx: &mut WriteTx) -> Result<(), sqlx::Error> {
        for digest in versions::own_digests(tx).await? {
            Self::new(digest).enqueue(tx).await?;
        }
        Ok(())
    }
}

impl Job for KeepManifest {
    const KIND: &'static str = "keep-manifest";

    async fn run(self, app: &App) -> Result<(), JobError> {
        let key = Key::manifest(&self.digest);
        let Some(text) = versions::text(&app.db, &self.digest).await? else { return Ok(()) };
        app.storage.create(&key, Bytes::from(text)).await?;
        // Deleted in between: what was deleted must not come back.
        if versions::text(&app.db, &self.digest).await?.is_none() {
            app.storage.delete(&key).await?;
        }
        Ok(())
    }
}
