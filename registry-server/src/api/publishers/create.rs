//! `POST /api/v1/adapters/{namespace}/{name}/publishers`

use axum::{Json, extract::State, http::StatusCode};
use hub_schemas::{
    api::{CreatePublisher, Publisher},
    name::AdapterId,
    problem::{Problem, ProblemCode},
};

use crate::{
    api::permit_on,
    app::App,
    db::publishers,
    domain::{permissions::ManagePublishers, publisher},
    error::{ApiError, ApiResult},
    extract::{AdapterPath, ApiJson, ApiPath, Authenticated},
};

/// More would be read by nobody.
const MAX_PUBLISHERS: usize = 20;

/// Trusts programs elsewhere, such as jobs of a CI, with publishing an adapter or one to be.
///
/// Whoever has an identity token with these claims gets a token for some minutes that publishes
/// this one adapter, with the rights of whoever makes this request.
#[utoipa::path(
    post, path = "/api/v1/adapters/{namespace}/{name}/publishers", tag = "publishing",
    security(("token" = ["admin"])),
    params(AdapterPath),
    request_body = CreatePublisher,
    responses(
        (status = 201, body = Publisher), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 409, body = Problem),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    ApiPath(path): ApiPath<AdapterPath>,
    ApiJson(wanted): ApiJson<CreatePublisher>,
) -> ApiResult<(StatusCode, Json<Publisher>)> {
    let id = AdapterId::from(path);
    let permit = permit_on(&app, &caller, ManagePublishers, &id).await?;
    publisher::check(&wanted.claims).map_err(ApiError::invalid_value)?;
    if !app.issuers.has(&wanted.issuer) {
        let issuer: String = wanted.issuer.chars().take(200).collect();
        let known: Vec<_> = app.issuers.listed().iter().map(|known| format!("`{}`", known.issuer)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ApiError::invalid_value(format!("tokens of the issuer `{issuer}` are not taken here"))
            .hint(format!("this registry's operator allows (`[[issuers]]`): {known}")));
    }
    if publishers::all(&app.db, &id).await?.len() >= MAX_PUBLISHERS {
        let detail = format!("`{id}` has {MAX_PUBLISHERS} trusted publishers, as many as it may");
        return Err(ApiError::new(ProblemCode::Conflict, detail));
    }
    let mut tx = app.db.write().await?;
    let made = publishers::insert(&mut tx, &permit, &id, caller.user(), wanted).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}
