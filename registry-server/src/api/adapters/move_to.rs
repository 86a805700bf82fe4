//! `POST /api/v1/adapters/{namespace}/{name}/move`

use axum::{Json, extract::State};
use hub_schemas::{
    api::{AdapterInfo, MoveAdapter},
    name::AdapterId,
    problem::{Problem, ProblemCode},
};
use serde_json::json;

use super::info::describe;
use crate::{
    api::{in_circulation, permit_on},
    app::App,
    db::{former_names, listings},
    domain::permissions::{Move, Receive},
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiJson, ApiPath, Authenticated},
    jobs::announce,
    service::{lookalikes, room},
};

/// Gives an adapter another name, perhaps in another namespace. The old name leads to it until
/// an owner frees it; its versions keep their digests, and who had a role for it keeps it.
#[utoipa::path(
    post, path = "/api/v1/adapters/{namespace}/{name}/move", tag = "adapters", security(("token" = ["admin"])),
    params(AdapterPath),
    request_body = MoveAdapter,
    responses(
        (status = 200, body = AdapterInfo), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The new name is taken, or kept for another adapter"),
    ),
)]
pub(crate) async fn move_to(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiJson(MoveAdapter { to }): ApiJson<MoveAdapter>,
) -> ApiResult<Json<AdapterInfo>> {
    let from = AdapterId::from(path);
    let adapter = in_circulation(&app, &from, &caller.member_viewer()).await?;
    let permit = permit_on(&app, &caller, Move, &from).await?;
    if from == to {
        return Err(ApiError::invalid_value(format!("`{from}` has that name")));
    }
    app.mirrors.refuse_changes(&to.namespace)?;
    let into = permit_on(&app, &caller, Receive, &to).await?;
    let mut tx = app.db.write().await?;
    if from.namespace != to.namespace {
        room::for_moved(&mut tx, &adapter, &to).await?;
    }
    let Some(adapter) = former_names::move_to(&mut tx, &permit, &into, adapter, &to).await? else {
        let taken = ApiError::new(ProblemCode::Conflict, format!("the name `{to}` is taken, or kept"));
        return Err(taken.hint(format!(
            "choose another name; `hub free {to}` frees one that only leads elsewhere, or whose adapter was deleted"
        )));
    };
    listings::refresh(&mut tx, &adapter).await?;
    let data = json!({"name": to, "formerly": from});
    announce(&mut tx, &from.namespace, "adapter.moved", &from.to_string(), data.clone()).await?;
    let mut warnings = Vec::new();
    if from.namespace != to.namespace {
        warnings = lookalikes::of_first_shown(&mut tx, into.actor(), &adapter).await?;
        announce(&mut tx, &to.namespace, "adapter.moved", &from.to_string(), data).await?;
    }
    tx.commit().await?;
    Ok(Json(AdapterInfo { warnings, ..describe(&app, adapter).await? }))
}
