//! The handlers, one file per verb. Each parses, authorises, calls, and answers.

pub(crate) mod account;
pub(crate) mod adapters;
pub(crate) mod audit;
pub(crate) mod bases;
pub(crate) mod blobs;
mod caching;
pub(crate) mod changes;
pub(crate) mod collaborators;
pub(crate) mod health;
pub(crate) mod identities;
pub(crate) mod index;
pub(crate) mod manifests;
pub(crate) mod members;
pub(crate) mod namespaces;
pub(crate) mod oidc;
pub(crate) mod publishers;
pub(crate) mod quarantine;
pub(crate) mod resolve;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod uploads;
pub(crate) mod versions;
pub(crate) mod webhooks;

use hub_schemas::name::{AdapterId, Namespace};

use crate::{
    app::App,
    db::{
        WriteTx,
        adapters::{VisibleAdapter, find_visible},
        former_names, roles, users,
    },
    domain::permissions::{Caller, Denied, Permit, Verb, Viewer, may},
    error::{ApiError, ApiResult},
};

/// The adapter, or the answer that leads to its new name, says that it was deleted, or hides
/// whether it exists.
async fn visible(app: &App, id: &AdapterId, viewer: &Viewer) -> ApiResult<VisibleAdapter> {
    match find_visible(&app.db, id, viewer).await? {
        Some(adapter) => Ok(adapter),
        None => Err(match former_names::kept(&app.db, id, viewer).await? {
            Some(kept) => ApiError::kept(id, &kept),
            None => ApiError::no_adapter(id),
        }),
    }
}

/// The same, unless it is out of circulation.
async fn in_circulation(app: &App, id: &AdapterId, viewer: &Viewer) -> ApiResult<VisibleAdapter> {
    let adapter = visible(app, id, viewer).await?;
    ApiError::unless_quarantined(&adapter)?;
    Ok(adapter)
}

/// Longest text that is shown to others, in characters.
const MAX_LINE: usize = 500;

/// A text that is shown to others, without spaces around it.
fn one_line<'a>(field: &str, text: &'a str) -> ApiResult<&'a str> {
    let text = text.trim();
    if text.chars().count() > MAX_LINE || text.chars().any(char::is_control) {
        return Err(ApiError::invalid_value(format!(
            "`{field}` is one line of at most {MAX_LINE} characters"
        )));
    }
    Ok(text)
}

/// A number that a query states, or its default.
fn within(field: &str, value: u32, max: u32) -> ApiResult<u32> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::bad_request(format!("`{field}` is {value}; it must lie between 1 and {max}")))
}

/// A permit for an adapter, or for the name of one to be.
async fn permit_on<V: Verb>(app: &App, caller: &Caller, verb: V, id: &AdapterId) -> ApiResult<Permit<V>> {
    let resource = roles::on_adapter(&app.db, caller, id).await?;
    Ok(may(&caller.into(), verb, &resource)?)
}

/// A permit for a namespace, or the answer that hides whether it exists.
async fn permit_in<V: Verb>(app: &App, caller: &Caller, verb: V, name: &Namespace) -> ApiResult<Permit<V>> {
    match roles::in_namespace(&app.db, caller, name).await? {
        Some(resource) => may(&caller.into(), verb, &resource).map_err(|denied| match denied {
            Denied::NotAMember { .. } => ApiError::no_namespace(name),
            denied => denied.into(),
        }),
        None => Err(ApiError::no_namespace(name)),
    }
}

/// Refuses a user who does not exist.
async fn require_user(tx: &mut WriteTx, name: &Namespace) -> ApiResult<()> {
    if users::exists(tx, name).await? {
        Ok(())
    } else {
        Err(ApiError::not_found(format!("there is no user `{name}`")).hint("check the name"))
    }
}
