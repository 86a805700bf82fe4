//! `hub-server follow`

use super::AdminError;
use crate::{app::App, mirror};

/// Takes the changes of every registry that this one follows, without waiting for the server to do it;
/// with `compare` looks at everything, whether it changed or not.
pub async fn follow(app: &App, compare: bool) -> Result<(), AdminError> {
    app.check_identity().await?;
    let followed = mirror::follow_all(app, compare).await.map_err(|error| {
        let detail = &error.problem.detail;
        AdminError::Follow(error.cause.map_or_else(|| detail.clone(), |cause| format!("{detail} ({cause})")))
    })?;
    tracing::info!(
        names.count = followed.names,
        refused.count = followed.refused,
        "Compared {} names, of which {} can't be taken as they are",
        followed.names,
        followed.refused,
    );
    Ok(())
}
