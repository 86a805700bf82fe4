//! `GET /api/v1/adapters/{namespace}/{name}`

use axum::{Json, extract::State};
use hub_schemas::{api::AdapterInfo, problem::Problem};

use crate::{
    api::{index, visible},
    app::App,
    db::{
        adapters::{self, VisibleAdapter},
        former_names, listings, tombstones,
    },
    error::ApiResult,
    extract::{AdapterPath, ApiPath, Reader},
    mirror,
};

/// Describes an adapter and lists its versions.
#[utoipa::path(
    get, path = "/api/v1/adapters/{namespace}/{name}", tag = "adapters", security((), ("token" = [])),
    params(AdapterPath),
    responses((status = 200, body = AdapterInfo), (status = 404, body = Problem)),
)]
pub(crate) async fn info(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiPath(path): ApiPath<AdapterPath>,
) -> ApiResult<Json<AdapterInfo>> {
    let id = path.into();
    mirror::refresh(&app, &viewer, &id).await?;
    let adapter = visible(&app, &id, &viewer).await?;
    describe(&app, adapter).await.map(Json)
}

/// Everything about an adapter.
pub(in crate::api) async fn describe(app: &App, adapter: VisibleAdapter) -> ApiResult<AdapterInfo> {
    Ok(AdapterInfo {
        latest: listings::find(&app.db, &adapter).await?,
        versions: index::read::versions(app, &adapter).await?,
        visibility: adapter.visibility,
        pulls: adapters::pulls(&app.db, &adapter).await?,
        former_names: former_names::of(&app.db, &adapter).await?,
        deleted: tombstones::all(&app.db, &adapter).await?,
        quarantine: adapter.quarantine,
        kind: adapter.kind,
        name: adapter.id,
        warnings: Vec::new(),
    })
}
