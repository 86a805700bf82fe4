//! Removing an object that no row refers to any more.

use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::{app::App, storage::Key};

/// Removes one object. Keys are never used again, so it can't be anybody's by then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeleteObject {
    object: String,
}

impl DeleteObject {
    /// For the object under this key.
    pub(crate) fn new(object: &Key) -> Self {
        Self { object: object.to_string() }
    }
}

impl Job for DeleteObject {
    const KIND: &'static str = "delete-object";

    async fn run(self, app: &App) -> Result<(), JobError> {
        Ok(app.storage.delete(&Key::from(self.object)).await?)
    }
}
