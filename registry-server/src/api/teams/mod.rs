//! Teams of an organisation.

pub(crate) mod add_member;
pub(crate) mod grant;
pub(crate) mod remove;
pub(crate) mod remove_member;
pub(crate) mod revoke;
pub(crate) mod set;

use hub_schemas::{
    api::Role,
    name::{Namespace, TeamName},
};

use crate::error::{ApiError, ApiResult};

/// The answer where there is no such team.
fn no_team(namespace: &Namespace, team: &TeamName) -> ApiError {
    ApiError::not_found(format!("`{namespace}` has no team `{team}`"))
        .hint(format!("`hub team list {namespace}` shows its teams"))
}

/// Refuses a role that only people have.
fn no_owner(role: Role) -> ApiResult<()> {
    if role == Role::Owner {
        return Err(ApiError::invalid_value("owners are people; a team has `maintainer` and below"));
    }
    Ok(())
}
