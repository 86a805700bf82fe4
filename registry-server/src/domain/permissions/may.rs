//! The rule.

use std::marker::PhantomData;

use hub_schemas::{
    api::Role,
    name::{AdapterId, Namespace},
    token::Scope,
};

use super::{
    Actor, Caller, Resource,
    action::{For, Verb},
};

/// Allows one kind of change, in one place, to one actor. Nothing but [`may`] makes it.
#[derive(Debug, Clone)]
pub struct Permit<V> {
    actor: Actor,
    resource: Resource,
    verb: PhantomData<V>,
}

/// Why a permit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The user is nothing there. Says the same whether or not it exists.
    #[error("`{user}` is not a member of the namespace `{namespace}`")]
    NotAMember {
        /// The user.
        user: Namespace,
        /// The namespace.
        namespace: Namespace,
    },
    /// The user's role is too weak.
    #[error("`{user}` is {has} of {place}; this needs the role `{needs}`")]
    Role {
        /// The user.
        user: Namespace,
        /// What they are.
        has: Role,
        /// Where.
        place: String,
        /// What they would have to be.
        needs: Role,
    },
    /// Somebody else's account.
    #[error("this belongs to `{0}` alone")]
    NotOneself(Namespace),
    /// The user does not run the registry.
    #[error("`{0}` is not an administrator of this registry")]
    NotAdministrator(Namespace),
    /// The token lacks a scope.
    #[error("the token `{token}` has no scope `{scope}`")]
    Scope {
        /// The token's name.
        token: String,
        /// What it would have to be allowed.
        scope: Scope,
    },
    /// The token is for other adapters.
    #[error("the token `{token}` is limited to other names than {place}")]
    Names {
        /// The token's name.
        token: String,
        /// What it would have to cover.
        place: String,
    },
}

/// Whether `actor` may do `verb` to `resource`: the permit, or the reason.
///
/// What the user is comes before what the token may do, so that whoever is nothing
/// there learns nothing else.
pub fn may<V: Verb>(actor: &Actor, _verb: V, resource: &Resource) -> Result<Permit<V>, Denied> {
    match actor {
        Actor::User(caller) => {
            check_user::<V>(caller, resource)?;
            check_token::<V>(caller, resource)?;
        }
        Actor::Account(user) => check_account::<V>(user, resource)?,
        Actor::Operator | Actor::Retention | Actor::Mirror(_) => {}
    }
    Ok(Permit { actor: actor.clone(), resource: resource.clone(), verb: PhantomData })
}

fn check_user<V: Verb>(caller: &Caller, resource: &Resource) -> Result<(), Denied> {
    let user = caller.user();
    let needs = match V::ACTION.who() {
        For::User => return Ok(()),
        For::Administrator | For::RoleOrAdministrator(_) if caller.is_administrator() => return Ok(()),
        For::Administrator => return Err(Denied::NotAdministrator(user.clone())),
        For::Oneself => return check_account::<V>(user, resource),
        For::Role(needs) | For::RoleOrAdministrator(needs) => needs,
    };
    match (resource.role(), resource) {
        (Some(has), _) if has >= needs => Ok(()),
        (Some(has), _) => Err(Denied::Role { user: user.clone(), has, place: resource.to_string(), needs }),
        (None, Resource::Namespace { name: namespace, .. }) => {
            Err(Denied::NotAMember { user: user.clone(), namespace: namespace.clone() })
        }
        (None, Resource::Adapter { id, .. }) => {
            Err(Denied::NotAMember { user: user.clone(), namespace: id.namespace.clone() })
        }
        (None, Resource::Registry | Resource::Account(_)) => Err(Denied::NotAdministrator(user.clone())),
    }
}

/// Nothing but one's own account.
fn check_account<V: Verb>(user: &Namespace, resource: &Resource) -> Result<(), Denied> {
    match (V::ACTION.who(), resource) {
        (For::Oneself, Resource::Account(owner)) if owner == user => Ok(()),
        (For::Oneself, Resource::Account(owner)) => Err(Denied::NotOneself(owner.clone())),
        _ => Err(Denied::NotAdministrator(user.clone())),
    }
}

fn check_token<V: Verb>(caller: &Caller, resource: &Resource) -> Result<(), Denied> {
    let token = || caller.token().name.clone();
    let exists = matches!(resource, Resource::Adapter { exists: true, .. });
    let scope = V::ACTION.scope(exists);
    if !caller.has(scope) {
        return Err(Denied::Scope { token: token(), scope });
    }
    let reaches = match resource {
        Resource::Adapter { id, .. } => caller.reaches(id),
        Resource::Namespace { name, .. } => caller.covers(name),
        Resource::Registry | Resource::Account(_) => caller.token().names.is_empty(),
    };
    let place = match resource {
        Resource::Adapter { id, .. } => format!("`{id}`"),
        other => other.to_string(),
    };
    if reaches { Ok(()) } else { Err(Denied::Names { token: token(), place }) }
}

impl<V> Permit<V> {
    /// Who acts, for the audit log.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Their name.
    pub fn user(&self) -> &str {
        self.actor.name()
    }

    /// Whether it is for `adapter`.
    pub fn covers(&self, adapter: &AdapterId) -> bool {
        matches!(&self.resource, Resource::Adapter { id, .. } if id == adapter)
    }

    /// Whether it is for `namespace`.
    pub fn covers_namespace(&self, namespace: &Namespace) -> bool {
        matches!(&self.resource, Resource::Namespace { name, .. } if name == namespace)
            || matches!(self.resource, Resource::Registry)
    }

    /// Whether the adapter was not there when it was given.
    pub const fn is_for_a_new_adapter(&self) -> bool {
        matches!(self.resource, Resource::Adapter { exists: false, .. })
    }
}
