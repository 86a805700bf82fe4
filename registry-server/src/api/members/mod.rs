//! Who belongs to a namespace.

pub(crate) mod grant;
pub(crate) mod revoke;

use hub_schemas::{name::Namespace, problem::ProblemCode};

use crate::{
    db::members::Changed,
    error::{ApiError, ApiResult},
};

/// What became of a change, as an answer.
fn settled(changed: Changed, namespace: &Namespace, user: &Namespace) -> ApiResult<()> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Nobody => Err(ApiError::not_found(format!("`{user}` is not a member of `{namespace}`"))),
        Changed::Ownerless => {
            let detail = format!("`{user}` is the owner that `{namespace}` can't be without");
            Err(ApiError::new(ProblemCode::Conflict, detail).hint(if namespace == user {
                "everybody owns the namespace of their name"
            } else {
                "make somebody else an owner first"
            }))
        }
    }
}
