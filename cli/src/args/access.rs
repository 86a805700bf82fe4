//! `hub access`.

use std::{fmt, str::FromStr};

use clap::{Args, Subcommand};
use hub_schemas::{
    AdapterId, Namespace, TeamName,
    api::{Role, Visibility},
    name::NameError,
};

/// Arguments of `hub access`.
#[derive(Debug, Args)]
#[command(after_help = "\
Roles, each with what those before it may do: `reader` sees what is private, `writer` publishes and yanks,
`maintainer` decides who may see an adapter and who collaborates on it, `owner` decides who belongs to the
namespace. Changing them needs a token with the scope `admin`, and the role `owner` in a namespace, `maintainer` on
an adapter, which also deletes versions (`hub delete`); webhooks (`hub webhook`) and moves are the owners'.")]
pub(crate) struct AccessArgs {
    /// What to do about it.
    #[command(subcommand)]
    pub(crate) verb: AccessVerb,
}

/// What can be done about who may do what.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessVerb {
    /// Show who has which role
    Show {
        /// A namespace, or one adapter as in `lab/sentiment`
        place: Place,
    },
    /// Give a user or a team a role, in place of the one they have
    Grant {
        /// A namespace, or one adapter as in `lab/sentiment`
        place: Place,
        /// The user, or a team of the organisation as in `@linguists`
        who: Who,
        /// `reader`, `writer`, `maintainer` or, in a namespace, `owner`
        role: Role,
    },
    /// Take a user's or a team's role away
    Revoke {
        /// A namespace, or one adapter as in `lab/sentiment`
        place: Place,
        /// The user, or a team of the organisation as in `@linguists`
        who: Who,
    },
    /// Decide who may see an adapter
    Visibility {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
        /// `public`, `internal` (every user of the registry) or `private` (members and collaborators)
        visibility: Visibility,
    },
}

/// Who has a role.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// A user.
    User(Namespace),
    /// A team of the organisation.
    Team(TeamName),
}

impl FromStr for Who {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix('@') {
            Some(team) => team.parse().map(Self::Team),
            None => text.parse().map(Self::User),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => name.fmt(f),
            Self::Team(name) => write!(f, "@{name}"),
        }
    }
}

/// Where somebody has a role.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a namespace.
    Namespace(Namespace),
    /// On one adapter.
    Adapter(AdapterId),
}

impl FromStr for Place {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('/') { text.parse().map(Self::Adapter) } else { text.parse().map(Self::Namespace) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => name.fmt(f),
            Self::Adapter(id) => id.fmt(f),
        }
    }
}
