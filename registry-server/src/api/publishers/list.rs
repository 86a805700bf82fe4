//! `GET /api/v1/adapters/{namespace}/{name}/publishers`

use axum::{Json, extract::State};
use hub_schemas::{api::Publisher, name::AdapterId, problem::Problem};

use crate::{
    api::permit_on,
    app::App,
    db::publishers,
    domain::permissions::ManagePublishers,
    error::ApiResult,
    extract::{AdapterPath, ApiPath, Authenticated},
};

/// Lists who is trusted with publishing an adapter, or one to be, to those who decide that.
#[utoipa::path(
    get, path = "/api/v1/adapters/{namespace}/{name}/publishers", tag = "publishing",
    security(("token" = ["admin"])),
    params(AdapterPath),
    responses(
        (status = 200, body = [Publisher]), (status = 401, body = Problem), (status = 403, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
) -> ApiResult<Json<Vec<Publisher>>> {
    let id = AdapterId::from(path);
    permit_on(&app, &caller, ManagePublishers, &id).await?;
    Ok(Json(publishers::all(&app.db, &id).await?))
}
