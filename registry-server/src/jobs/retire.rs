//! Deleting what the rules of namespaces say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Job, JobError};
use crate::{
    app::App,
    db::retention,
    service::retention::{RetentionError, apply},
};

/// Applies the rules of every namespace.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RetireVersions {}

impl Job for RetireVersions {
    const KIND: &'static str = "retire-versions";
    const EVERY: Option<Duration> = Some(Duration::from_hours(1));
    const BY_AGE: bool = true;

    async fn run(self, app: &App) -> Result<(), JobError> {
        for (namespace, rules) in retention::all(&app.db).await? {
            let deleted = apply(app, &namespace, &rules).await.map_err(|error| match error {
                RetentionError::Database(error) => JobError::Database(error),
                RetentionError::Denied(error) => JobError::Panicked(error.to_string()),
            })?;
            if deleted > 0 {
                tracing::info!(
                    namespace.name = %namespace,
                    versions.count = deleted,
                    "Deleted {deleted} versions of `{namespace}` by its rules"
                );
            }
        }
        Ok(())
    }
}
