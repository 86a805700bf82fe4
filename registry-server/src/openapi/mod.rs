//! The OpenAPI document: what the handlers' attributes say, plus what they share.

mod answers;

use std::sync::OnceLock;

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use hub_schemas::manifest::{Artifact, BaseManifest, Manifest};
use utoipa::{
    OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::error::{ApiError, ApiResult};

/// What no handler says.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Adapter Hub registry",
        description = "Publish, find and pull versioned adapters. Every error is an RFC 9457 \
                       `application/problem+json` with a stable `code`; every answer has an `x-request-id`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(
        Artifact, Manifest, BaseManifest, hub_schemas::name::Namespace, hub_schemas::name::AdapterName,
        hub_schemas::name::TeamName,
        hub_schemas::version::Version, hub_schemas::digest::Digest,
    )),
    tags(
        (name = "discovery", description = "Finding adapters"),
        (name = "adapters", description = "Adapters and their index"),
        (name = "versions", description = "Publishing, yanking, reading manifests"),
        (name = "publishing", description = "Trusted publishers and their identity tokens"),
        (name = "files", description = "Uploading and downloading files by digest"),
        (name = "access", description = "Namespaces, their members and teams, and collaborators on adapters"),
        (name = "account", description = "Who is asking, and their tokens"),
        (name = "operation", description = "For whoever runs the server"),
    ),
)]
struct Shared;

/// The base of the document, to which the router adds its paths.
pub(crate) fn base() -> openapi::OpenApi {
    let mut document = Shared::openapi();
    let token = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token as `hub-server token create` prints it"))
            .build(),
    );
    document.components.get_or_insert_default().add_security_scheme("token", token);
    document
}

/// The whole document, with what every route may answer.
pub fn document() -> openapi::OpenApi {
    let mut document = crate::router::routes().into_openapi();
    answers::complete(&mut document);
    document
}

/// `GET /api/openapi.json`. Made when it is asked for first and kept as text: as a value it takes more memory than
/// two hundred downloads.
pub(crate) async fn read() -> ApiResult<Response> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = if let Some(text) = TEXT.get() {
        text.clone()
    } else {
        let text = serde_json::to_vec(&document()).map_err(ApiError::internal)?;
        TEXT.get_or_init(|| text.into()).clone()
    };
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}
