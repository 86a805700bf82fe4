//! `hub-server retire`

use super::{AdminError, print};
use crate::{
    app::App,
    db::retention,
    service::retention::{RetentionError, apply, preview},
};

/// Deletes what the rules of namespaces say now, or only prints it.
///
/// The server does the same by itself every hour.
pub async fn retire(app: &App, dry_run: bool) -> Result<(), AdminError> {
    for (namespace, rules) in retention::all(&app.db).await? {
        for expired in preview(app, &namespace, &rules).await? {
            let stays = expired.kept.map(|kept| format!("\tstays: {kept}")).unwrap_or_default();
            print(&format!("{}@{}\t{}{stays}", expired.name, expired.version, expired.reason))?;
        }
        if !dry_run {
            let deleted = apply(app, &namespace, &rules).await.map_err(|error| match error {
                RetentionError::Database(error) => AdminError::Database(error),
                RetentionError::Denied(error) => AdminError::Denied(error),
            })?;
            tracing::info!(namespace.name = %namespace, "Deleted {deleted} versions of `{namespace}` by its rules");
        }
    }
    Ok(())
}
