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
        match mirror::follow_all(app, false).await {
            Ok(_) => {}
            // Told by whoever asked; it is asked again in some seconds, whatever happened before.
            Err(error) if error.problem.status == 503 => {}
            Err(error) => {
                let reason = error.cause.as_deref().unwrap_or(&error.problem.detail);
                tracing::warn!(reason, "Could not take the changes of another registry: {reason}");
            }
        }
        Ok(())
    }
}
