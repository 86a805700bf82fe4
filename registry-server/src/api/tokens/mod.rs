//! The caller's own tokens.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

use crate::{
    domain::permissions::{Caller, ManageAccount, Permit, Resource, may},
    error::ApiResult,
};

/// What whoever manages their own account needs.
pub(in crate::api) fn permit(caller: &Caller) -> ApiResult<Permit<ManageAccount>> {
    Ok(may(&caller.into(), ManageAccount, &Resource::Account(caller.user().clone()))?)
}
