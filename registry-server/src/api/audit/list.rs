//! `GET /api/v1/audit`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{AuditPage, AuditQuery, DEFAULT_AUDIT_LIMIT, MAX_AUDIT_LIMIT},
    problem::Problem,
};

use crate::{
    api::within,
    app::App,
    db::audit,
    domain::permissions::{Administer, Resource, may},
    error::ApiResult,
    extract::{ApiQuery, Authenticated},
};

/// Lists what was changed in the registry, oldest first, to its administrators.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "operation", security(("token" = ["admin"])),
    params(AuditQuery),
    responses(
        (status = 200, body = AuditPage), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> ApiResult<Json<AuditPage>> {
    may(&(&caller).into(), Administer, &Resource::Registry)?;
    let limit = within("limit", query.limit.unwrap_or(DEFAULT_AUDIT_LIMIT), MAX_AUDIT_LIMIT)?;
    let (after, actor) = (query.after.unwrap_or_default(), query.actor.unwrap_or_default());
    let items = audit::page(&app.db, &after, &actor, limit).await?;
    let full = items.len() == limit as usize;
    let next = items.last().filter(|_| full).map(|record| record.id.clone());
    Ok(Json(AuditPage { items, next }))
}
