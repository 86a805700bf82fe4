//! The table of contents of the HTTP interface.

use axum::{Router, middleware::from_fn, middleware::from_fn_with_state, routing::get};
use hub_schemas::problem::ProblemCode;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::{
        account, adapters, audit, bases, blobs, changes, collaborators, health, identities, index, manifests,
        members, namespaces, oidc, publishers, quarantine, resolve, retention, search, teams, tokens,
        uploads, versions, webhooks,
    },
    app::App,
    error::ApiError,
    middleware, openapi,
};

/// Every route, with its documentation.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        // Finding: `hub search`, `hub pull <word>`.
        .routes(routes!(search::run::run))
        .routes(routes!(resolve::run::run))
        .routes(routes!(bases::find::find))
        .routes(routes!(changes::list::list))
        // Choosing and pulling: `hub info`, `hub pull`.
        .routes(routes!(
            adapters::info::info,
            adapters::change_visibility::change_visibility,
            adapters::delete::delete
        ))
        .routes(routes!(adapters::pulls::list))
        .routes(routes!(index::read::read))
        .routes(routes!(manifests::read::read))
        .routes(routes!(blobs::read::read))
        // Renaming: `hub move`.
        .routes(routes!(adapters::move_to::move_to))
        .routes(routes!(adapters::free_name::free_name))
        // Publishing: `hub push`, `hub yank`.
        .routes(routes!(uploads::start::start))
        .routes(routes!(uploads::status::status, uploads::append::append, uploads::cancel::cancel))
        .routes(routes!(uploads::address::address, uploads::acknowledge::acknowledge))
        .routes(routes!(versions::publish::publish, versions::yank::yank, versions::delete::delete))
        // Publishing without a user's token: `hub publisher`, `hub token exchange`.
        .routes(routes!(publishers::list::list, publishers::create::create))
        .routes(routes!(publishers::remove::remove))
        .routes(routes!(oidc::issuers::issuers))
        .routes(routes!(oidc::exchange::exchange))
        // Who may do what: `hub access`, `hub org`, `hub team`.
        .routes(routes!(namespaces::create::create))
        .routes(routes!(namespaces::info::info))
        .routes(routes!(members::grant::grant, members::revoke::revoke))
        .routes(routes!(teams::set::set, teams::remove::remove))
        .routes(routes!(teams::add_member::add_member, teams::remove_member::remove_member))
        .routes(routes!(teams::grant::grant, teams::revoke::revoke))
        .routes(routes!(retention::read::read, retention::set::set))
        .routes(routes!(retention::preview::preview))
        .routes(routes!(webhooks::list::list, webhooks::create::create))
        .routes(routes!(webhooks::remove::remove))
        .routes(routes!(collaborators::list::list))
        .routes(routes!(collaborators::grant::grant, collaborators::revoke::revoke))
        // Accounts: `hub login`, `hub whoami`, `hub token`.
        .routes(routes!(account::whoami::whoami))
        .routes(routes!(account::log_in::log_in))
        .routes(routes!(account::change_password::change_password))
        .routes(routes!(oidc::logins::logins))
        .routes(routes!(oidc::log_in::log_in))
        .routes(routes!(identities::list::list, identities::link::link))
        .routes(routes!(identities::unlink::unlink))
        .routes(routes!(tokens::list::list, tokens::create::create))
        .routes(routes!(tokens::revoke::revoke))
        // Records and quarantine, for administrators.
        .routes(routes!(quarantine::enter::enter, quarantine::leave::leave))
        .routes(routes!(audit::list::list))
        // Operation: load balancers and Prometheus.
        .routes(routes!(health::startup::startup))
        .routes(routes!(health::live::live))
        .routes(routes!(health::ready::ready))
        .routes(routes!(health::metrics::metrics))
}

/// The service: routes, documentation, and what happens around every request.
pub fn router(app: App) -> Router {
    let router: Router<App> = routes().into();
    router
        .route("/api/openapi.json", get(openapi::read))
        .fallback(async || ApiError::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            ApiError::new(ProblemCode::MethodNotAllowed, "this path does not take this method")
        })
        .layer(from_fn(middleware::moved))
        .layer(from_fn_with_state(app.clone(), middleware::rates))
        .layer(from_fn_with_state(app.clone(), middleware::mirrored))
        .layer(from_fn_with_state(app.clone(), middleware::read_only))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(app.clone(), middleware::log))
        .layer(from_fn(middleware::problem))
        .layer(from_fn(middleware::request_id))
        .with_state(app)
}
