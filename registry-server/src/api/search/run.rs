//! `GET /api/v1/search`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{DEFAULT_LIMIT, MAX_LIMIT, SearchPage, SearchQuery},
    label::Language,
    problem::Problem,
};

use crate::{
    api::within,
    app::App,
    db::search::{self, Filters, Place},
    domain::{cursor, words},
    error::{ApiError, ApiResult},
    extract::{ApiQuery, Reader},
};

/// Finds adapters by words and filters, best first.
///
/// Up to a thousand results of words come by relevance, then pulls, then recency. More, or those of filters alone,
/// come by pulls, and the newest adapter first among equals.
#[utoipa::path(
    get, path = "/api/v1/search", tag = "discovery", security((), ("token" = [])),
    params(SearchQuery),
    responses((status = 200, body = SearchPage), (status = 400, body = Problem)),
)]
pub(crate) async fn run(
    State(app): State<App>,
    Reader(viewer): Reader,
    ApiQuery(query): ApiQuery<SearchQuery>,
) -> ApiResult<Json<SearchPage>> {
    let limit = within("limit", query.limit.unwrap_or(DEFAULT_LIMIT), MAX_LIMIT)?;
    // A page's cursor continues the same query, whatever the size of the pages.
    let same_query = SearchQuery { limit: None, cursor: None, ..query.clone() };
    let fingerprint = serde_json::to_string(&same_query).map_err(ApiError::internal)?;
    let offset = query.cursor.as_deref().map_or(Ok(0), |c| cursor::decode(&fingerprint, c))?;
    let filters = filters(query)?;
    let found = search::page(&app.db, &viewer, &filters, Place { offset, limit }).await?;
    let shown = offset + found.items.len() as u64;
    let next = found.is_followed.then(|| cursor::encode(&fingerprint, shown));
    Ok(Json(SearchPage { items: found.items, total: found.total, more: found.more, next }))
}

fn filters(query: SearchQuery) -> ApiResult<Filters> {
    // The language becomes part of a pattern; a parsed one has no wildcard.
    let language = query.language.unwrap_or_default();
    if !language.is_empty() {
        language.parse::<Language>().map_err(ApiError::bad_request)?;
    }
    Ok(Filters {
        words: query.q.filter(|q| !q.trim().is_empty()).map(|q| words::query(&q)),
        task: query.task.unwrap_or_default(),
        base: query.base.unwrap_or_default(),
        architecture: query.architecture.unwrap_or_default(),
        method: query.method.unwrap_or_default(),
        language,
        license: query.license.unwrap_or_default(),
        kind: query.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
    })
}
