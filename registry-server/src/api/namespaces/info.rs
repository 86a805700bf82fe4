//! `GET /api/v1/namespaces/{namespace}`

use axum::{Json, extract::State};
use hub_schemas::{api::NamespaceInfo, name::Namespace, problem::Problem};

use crate::{
    api::permit_in,
    app::App,
    db::{members, namespaces, quotas, teams},
    domain::permissions::SeeMembers,
    error::{ApiError, ApiResult},
    extract::{ApiPath, Authenticated, NamespacePath},
};

/// Says whose a namespace is and who belongs to it, to those who do.
#[utoipa::path(
    get, path = "/api/v1/namespaces/{namespace}", tag = "access", security(("token" = ["read"])),
    params(NamespacePath),
    responses(
        (status = 200, body = NamespaceInfo), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem),
    ),
)]
pub(crate) async fn info(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(NamespacePath { namespace }): ApiPath<NamespacePath>,
) -> ApiResult<Json<NamespaceInfo>> {
    permit_in(&app, &caller, SeeMembers, &namespace).await?;
    describe(&app, namespace).await.map(Json)
}

/// Everything about a namespace.
pub(super) async fn describe(app: &App, name: Namespace) -> ApiResult<NamespaceInfo> {
    let kind = namespaces::kind(&app.db, &name).await?.ok_or_else(|| ApiError::no_namespace(&name))?;
    let members = members::all(&app.db, &name).await?;
    let usage = quotas::usage(&app.db, &name).await?;
    let teams = teams::all(&app.db, &name).await?;
    Ok(NamespaceInfo { name, kind, members, teams, usage })
}
