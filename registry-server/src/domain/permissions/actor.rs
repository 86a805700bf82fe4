//! Who asks.

use hub_schemas::{
    api::TokenInfo,
    name::{AdapterId, Namespace},
    token::Scope,
};

/// What the audit log calls whoever acts on the machine's own command line. No user has
/// this name: it is no name at all.
const OPERATOR: &str = "(operator)";

/// What the audit log calls the rules of a namespace.
const RETENTION: &str = "(retention)";

/// Who wants to change something.
#[derive(Debug, Clone)]
pub enum Actor {
    /// Whoever can open the database can do anything with it: the command line is trusted.
    Operator,
    /// A user, with a token.
    User(Caller),
    /// A user for whom a token is made, by their password or by a publisher whom they trust.
    Account(Namespace),
    /// The rules that the owners of a namespace set for its old versions.
    Retention,
    /// A user for whom this registry fetches something from another one.
    Mirror(Namespace),
}

/// Who sends a request with a valid token.
#[derive(Debug, Clone)]
pub struct Caller {
    user: Namespace,
    administrator: bool,
    token_id: String,
    token: TokenInfo,
}

/// Whose eyes a read request is answered for.
#[derive(Debug, Clone)]
pub struct Viewer {
    user: Option<Namespace>,
    limited_token: Option<String>,
}

impl Actor {
    /// What the audit log calls them.
    pub fn name(&self) -> &str {
        match self {
            Self::Operator => OPERATOR,
            Self::Retention => RETENTION,
            Self::User(caller) => caller.user.as_str(),
            Self::Account(user) | Self::Mirror(user) => user.as_str(),
        }
    }

    /// The token they came with.
    pub fn token_id(&self) -> Option<&str> {
        match self {
            Self::Operator | Self::Retention | Self::Account(_) | Self::Mirror(_) => None,
            Self::User(caller) => Some(&caller.token_id),
        }
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self::User(caller.clone())
    }
}

impl Caller {
    pub(crate) const fn new(
        user: Namespace,
        administrator: bool,
        token_id: String,
        token: TokenInfo,
    ) -> Self {
        Self { user, administrator, token_id, token }
    }

    /// The user.
    pub const fn user(&self) -> &Namespace {
        &self.user
    }

    /// The token they came with.
    pub const fn token(&self) -> &TokenInfo {
        &self.token
    }

    /// What names the token.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// Whether they run the registry.
    pub const fn is_administrator(&self) -> bool {
        self.administrator
    }

    /// Whether the token has a scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.token.scopes.contains(&scope)
    }

    /// Whether the token is for this adapter.
    pub(super) fn reaches(&self, id: &AdapterId) -> bool {
        self.token.names.is_empty() || self.token.names.iter().any(|pattern| pattern.matches(id))
    }

    /// Whether the token is for everything in this namespace.
    pub(super) fn covers(&self, namespace: &Namespace) -> bool {
        self.token.names.is_empty() || self.token.names.iter().any(|pattern| pattern.covers(namespace))
    }

    /// The eyes of the token: without scope `read` it sees what anybody sees.
    pub fn viewer(&self) -> Viewer {
        if self.has(Scope::Read) { self.member_viewer() } else { Viewer::anonymous() }
    }

    /// The eyes of the user, for finding what they are about to change.
    pub fn member_viewer(&self) -> Viewer {
        let limited = !self.token.names.is_empty();
        Viewer { user: Some(self.user.clone()), limited_token: limited.then(|| self.token_id.clone()) }
    }
}

impl Viewer {
    /// Somebody without a token.
    pub const fn anonymous() -> Self {
        Self { user: None, limited_token: None }
    }

    /// The user's name as the visibility condition of a query takes it; no user has the empty name.
    pub fn user(&self) -> &str {
        self.user.as_ref().map_or("", Namespace::as_str)
    }

    /// The token whose patterns of names limit what is seen, in the same condition; empty: none does.
    pub fn limited_token(&self) -> &str {
        self.limited_token.as_deref().unwrap_or_default()
    }
}
