//! `GET /api/v1/resolve`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{Resolution, ResolveQuery},
    problem::Problem,
    reference::Reference,
};

use crate::{
    app::App,
    db::listings,
    domain::resolve,
    error::{ApiError, ApiResult},
    extract::{ApiQuery, Reader},
};

/// Says which adapters a bare word could mean, best first, and why.
#[utoipa::path(
    get, path = "/api/v1/resolve", tag = "discovery", security((), ("token" = [])),
    params(ResolveQuery),
    responses((status = 200, body = Resolution), (status = 400, body = Problem)),
)]
pub(crate) async fn run(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiQuery(query): ApiQuery<ResolveQuery>,
) -> ApiResult<Json<Resolution>> {
    let word = match query.word.parse::<Reference>() {
        Ok(Reference::Word(word)) => word,
        Ok(_) => {
            let detail = format!("`{}` is a full reference; only a bare word needs resolving", query.word);
            return Err(ApiError::bad_request(detail));
        }
        Err(error) => return Err(ApiError::bad_request(error)),
    };
    let base = query.base.map(|digest| digest.to_string()).unwrap_or_default();
    let listed = listings::matching(&app.db, &viewer, &word, &base).await?;
    Ok(Json(resolve::rank(&word, query.base.as_ref(), listed)))
}
