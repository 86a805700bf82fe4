//! What can be done, and what it asks for.

use hub_schemas::{api::Role, token::Scope};

/// Something that is allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Upload to an adapter and publish in it; the first time makes it.
    Publish,
    /// Yank versions, or take that back.
    Yank,
    /// Delete versions for good.
    Delete,
    /// Decide who may see an adapter.
    ChangeVisibility,
    /// Give an adapter another name, perhaps in another namespace.
    Move,
    /// Take an adapter that had another name.
    Receive,
    /// Delete an adapter with all its versions.
    DeleteAdapter,
    /// Let a name be used again that a moved or deleted adapter had.
    FreeName,
    /// Give somebody a role on one adapter, or take it away.
    ManageCollaborators,
    /// Trust programs with publishing an adapter.
    ManagePublishers,
    /// See who belongs to a namespace.
    SeeMembers,
    /// Give somebody a role in a namespace, or take it away.
    ManageMembers,
    /// Give up one's own role in a namespace.
    Leave,
    /// Make a namespace that one owns.
    CreateOrganisation,
    /// Make, see and revoke one's own tokens.
    ManageAccount,
    /// Run the registry: its users, namespaces and records.
    Administer,
}

/// Whom an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Whoever has this role there, or a stronger one.
    Role(Role),
    /// The same, and the registry's administrators.
    RoleOrAdministrator(Role),
    /// Every user.
    User,
    /// The user whose account it is.
    Oneself,
    /// The registry's administrators.
    Administrator,
}

impl Action {
    /// Whom it is for.
    pub(super) const fn who(self) -> For {
        match self {
            Self::Publish | Self::Yank | Self::Receive => For::Role(Role::Writer),
            Self::Delete | Self::ChangeVisibility | Self::ManageCollaborators | Self::ManagePublishers => {
                For::Role(Role::Maintainer)
            }
            Self::Move | Self::DeleteAdapter | Self::FreeName => For::Role(Role::Owner),
            Self::SeeMembers => For::RoleOrAdministrator(Role::Reader),
            Self::ManageMembers => For::RoleOrAdministrator(Role::Owner),
            Self::Leave => For::Role(Role::Reader),
            Self::CreateOrganisation => For::User,
            Self::ManageAccount => For::Oneself,
            Self::Administer => For::Administrator,
        }
    }

    /// Which scope the token must have; publishing asks for one of two.
    pub(super) const fn scope(self, exists: bool) -> Scope {
        match (self, exists) {
            (Self::Publish, true) => Scope::PublishUpdate,
            (Self::Publish, false) => Scope::PublishNew,
            (Self::Yank, _) => Scope::Yank,
            (Self::SeeMembers, _) => Scope::Read,
            _ => Scope::Admin,
        }
    }
}

/// An action as a type, so that a permit for one is no permit for another.
pub trait Verb: Copy + std::fmt::Debug {
    /// The action.
    const ACTION: Action;
}

macro_rules! verbs {
    ($($verb:ident),* $(,)?) => {
        $(
            #[doc = concat!("[`Action::", stringify!($verb), "`] as a type.")]
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $verb;

            impl Verb for $verb {
                const ACTION: Action = Action::$verb;
            }
        )*
    };
}

verbs!(
    Publish,
    Yank,
    Delete,
    ChangeVisibility,
    Move,
    Receive,
    DeleteAdapter,
    FreeName,
    ManageCollaborators,
    ManagePublishers,
    SeeMembers,
    ManageMembers,
    Leave,
    CreateOrganisation,
    ManageAccount,
    Administer,
);
