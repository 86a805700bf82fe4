//! What something is done to, and what whoever asks is there.

use hub_schemas::{
    api::Role,
    name::{AdapterId, Namespace},
};

/// A place where something can be changed. The roles are those of the caller it was looked up for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The registry as a whole.
    Registry,
    /// What belongs to a user alone: their tokens.
    Account(Namespace),
    /// A namespace with its members.
    Namespace {
        /// Its name.
        name: Namespace,
        /// The caller's role in it.
        role: Option<Role>,
    },
    /// An adapter, or the name of one to be.
    Adapter {
        /// Its full name.
        id: AdapterId,
        /// The stronger of the caller's roles in the namespace and on the adapter itself.
        role: Option<Role>,
        /// Whether it is there already.
        exists: bool,
    },
}

impl Resource {
    /// The caller's role.
    pub(super) const fn role(&self) -> Option<Role> {
        match self {
            Self::Registry | Self::Account(_) => None,
            Self::Namespace { role, .. } | Self::Adapter { role, .. } => *role,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry => f.write_str("the registry"),
            Self::Account(user) => write!(f, "the account `{user}`"),
            Self::Namespace { name, .. } => write!(f, "the namespace `{name}`"),
            Self::Adapter { id, exists: true, .. } => write!(f, "`{id}`"),
            Self::Adapter { id, .. } => write!(f, "the namespace `{}`", id.namespace),
        }
    }
}
