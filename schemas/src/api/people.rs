//! Who may do what: roles in namespaces and on single adapters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::name::{AdapterId, Namespace, TeamName};

/// What somebody is in a namespace, or for one adapter. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and pulls what is private.
    Reader,
    /// Publishes and yanks.
    Writer,
    /// Decides who else may, on an adapter: visibility and collaborators.
    Maintainer,
    /// Answers for the namespace: its members.
    Owner,
}

impl Role {
    /// Every role, the weakest first.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Writer, Self::Maintainer, Self::Owner];

    /// The name on the wire, on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Maintainer => "maintainer",
            Self::Owner => "owner",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not one of the roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; the roles are `reader`, `writer`, `maintainer` and `owner`")]
pub struct RoleError(pub String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// Whose namespace it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceKind {
    /// That of the user of this name.
    User,
    /// An organisation's.
    Organisation,
}

/// A request to make an organisation, which its maker owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganisation {
    /// Its name, which is also that of its namespace.
    pub name: Namespace,
}

/// A namespace as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceInfo {
    /// Its name.
    pub name: Namespace,
    /// Whose it is.
    pub kind: NamespaceKind,
    /// Who belongs to it, the strongest role first.
    pub members: Vec<Member>,
    /// Its teams, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<Team>,
    /// What it holds and may hold.
    pub usage: Usage,
}

/// What a namespace holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Its adapters.
    pub adapters: u64,
    /// Bytes of all their versions together.
    pub bytes: u64,
    /// Bytes announced or uploaded and not published.
    pub uploading_bytes: u64,
    /// How many adapters it may have; any number without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_adapters: Option<u64>,
    /// How many bytes it may hold; any number without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// Somebody and their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The user.
    pub user: Namespace,
    /// Their role.
    pub role: Role,
    /// Since when they have one.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// A named set of people in an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Team {
    /// Its name.
    pub name: TeamName,
    /// What its people are in the namespace; without it they have roles on adapters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Its people, by name.
    pub members: Vec<Namespace>,
    /// Since when there is the team.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// A request to make a team, or to change what its people are in the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTeam {
    /// `reader`, `writer` or `maintainer` of everything in the namespace, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// A team and its role on an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TeamRole {
    /// A team of the adapter's organisation.
    pub team: TeamName,
    /// Its people's role.
    pub role: Role,
    /// Since when they have one.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// A request to give somebody a role, in place of the one they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRole {
    /// From now on.
    pub role: Role,
}

/// Who has a role for one adapter, whatever they are in its namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Collaborators {
    /// The adapter.
    pub adapter: AdapterId,
    /// The strongest role first.
    pub collaborators: Vec<Member>,
    /// Teams of its organisation, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamRole>,
}
