//! Taking the changes of the registries that this one follows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::{app::App, mirror};

/// Brings this registry up to date with every registry that it follows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct FollowRegistries {}

impl Job for FollowRegistries {
    const KIND: &'static str = "follow-registries";
    const EVERY: Option<Duration> = Some(Duration::from_secs(10));

    async fn run(self, app: &App) -> Result<(), JobError> {
        // It said why it failed, and is asked again in some seconds, whatever happened before.
        drop(mirror::follow_all(app, false).await);
        Ok(())
    }
}
