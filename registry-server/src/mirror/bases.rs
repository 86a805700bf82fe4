//! Base models of mirrored registries, by the digest of their weights: that is all that an adapter's
//! manifest says of its base model.

use hub_schemas::{api::BaseVersion, digest::Digest};

use super::refresh;
use crate::{
    app::App,
    config::MirrorKind,
    db::{adapters::find_visible, mirrored},
    domain::permissions::Viewer,
    error::ApiResult,
};

/// Most names that another registry can make this one ask about, for one question.
const MAX_NAMES: usize = 5;

/// The versions of mirrored base models with these weights that `viewer` may see here. Only signed-in
/// users make this registry ask; what can't be asked has none.
pub(crate) async fn bases(app: &App, viewer: &Viewer, weights: &Digest) -> ApiResult<Vec<BaseVersion>> {
    let mut found = Vec::new();
    // A Hugging Face hub knows no digests of weights.
    for upstream in app.mirrors.all().iter().filter(|upstream| upstream.config.kind == MirrorKind::Hub) {
        let namespaces = &upstream.config.namespaces;
        let Some(first) = namespaces.first() else { continue };
        if app.mirrors.permit(app, viewer, first).is_none() {
            continue;
        }
        let answer = upstream.bases(weights).await;
        app.telemetry.mirrored("bases", &answer);
        let listed = match answer {
            Ok(listed) => listed.versions,
            Err(error) => {
                tracing::warn!(mirror.url = upstream.name(), %error, "Could not ask for a base model: {error}");
                continue;
            }
        };
        let named = listed.into_iter().filter(|version| namespaces.contains(&version.name.namespace));
        for version in named.take(MAX_NAMES) {
            // Its version list says who sees it here, and must have it.
            refresh(app, viewer, &version.name).await?;
            let Some(adapter) = find_visible(&app.db, &version.name, viewer).await? else { continue };
            let entries = mirrored::entries(&app.db, &adapter).await?.unwrap_or_default();
            if entries.iter().any(|entry| entry.digest == version.digest && entry.yanked.is_none()) {
                found.push(version);
            }
        }
    }
    Ok(found)
}
