//! Authorisation as values.
//!
//! A mutation demands a permit, and only the checks here make one. What they need
//! to know is a [`Caller`] (made from a valid token) and, for a namespace, a
//! [`Membership`] (made from a row of `members`).

use hub_schemas::{
    api::TokenInfo,
    name::{AdapterId, Namespace},
    token::Scope,
};

/// Who sends a request with a valid token.
#[derive(Debug, Clone)]
pub struct Caller {
    user: Namespace,
    token: TokenInfo,
}

/// Whose eyes a read request is answered for.
#[derive(Debug, Clone)]
pub struct Viewer(Option<Namespace>);

/// That a user belongs to a namespace.
#[derive(Debug, Clone)]
pub struct Membership {
    namespace: Namespace,
}

/// Why a permit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token lacks a scope.
    #[error("the token `{token}` has no scope `{scope}`")]
    Scope {
        /// The token's name.
        token: String,
        /// What it would have to be allowed.
        scope: Scope,
    },
    /// The user does not belong to the namespace.
    #[error("`{user}` is not a member of the namespace `{namespace}`")]
    NotAMember {
        /// The user.
        user: Namespace,
        /// The namespace.
        namespace: Namespace,
    },
}

/// Allows uploading to and publishing in one namespace.
#[derive(Debug, Clone)]
pub struct PublishPermit {
    user: Namespace,
    namespace: Namespace,
}

/// Allows yanking versions in one namespace.
#[derive(Debug, Clone)]
pub struct YankPermit {
    user: Namespace,
    namespace: Namespace,
}

/// Allows what operators do from the machine's own command line.
#[derive(Debug)]
pub struct OperatorPermit(());

impl Caller {
    pub(crate) const fn new(user: Namespace, token: TokenInfo) -> Self {
        Self { user, token }
    }

    /// The user.
    pub const fn user(&self) -> &Namespace {
        &self.user
    }

    /// The token they came with.
    pub const fn token(&self) -> &TokenInfo {
        &self.token
    }

    /// Refuses a token without `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Denied> {
        if self.token.scopes.contains(&scope) {
            Ok(())
        } else {
            Err(Denied::Scope { token: self.token.name.clone(), scope })
        }
    }

    /// The eyes of the token: without scope `read` it sees what anybody sees.
    pub fn viewer(&self) -> Viewer {
        Viewer(self.require(Scope::Read).is_ok().then(|| self.user.clone()))
    }

    /// The eyes of the user, for finding what they are about to change.
    pub fn member_viewer(&self) -> Viewer {
        Viewer(Some(self.user.clone()))
    }

    /// Checks that the caller may publish in `namespace`.
    pub fn publish_in(
        &self,
        namespace: &Namespace,
        membership: Option<&Membership>,
    ) -> Result<PublishPermit, Denied> {
        self.check(namespace, membership, Scope::Publish)?;
        Ok(PublishPermit { user: self.user.clone(), namespace: namespace.clone() })
    }

    /// Checks that the caller may yank in `namespace`.
    pub fn yank_in(
        &self,
        namespace: &Namespace,
        membership: Option<&Membership>,
    ) -> Result<YankPermit, Denied> {
        self.check(namespace, membership, Scope::Yank)?;
        Ok(YankPermit { user: self.user.clone(), namespace: namespace.clone() })
    }

    fn check(
        &self,
        namespace: &Namespace,
        membership: Option<&Membership>,
        scope: Scope,
    ) -> Result<(), Denied> {
        if membership.is_none_or(|m| m.namespace != *namespace) {
            return Err(Denied::NotAMember { user: self.user.clone(), namespace: namespace.clone() });
        }
        self.require(scope)
    }
}

impl Viewer {
    /// Somebody without a token.
    pub const fn anonymous() -> Self {
        Self(None)
    }

    /// The user's name as the visibility condition of a query takes it; no user has the empty name.
    pub fn as_sql(&self) -> &str {
        self.0.as_ref().map_or("", Namespace::as_str)
    }
}

impl Membership {
    pub(crate) const fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }
}

impl PublishPermit {
    /// Who publishes.
    pub const fn user(&self) -> &Namespace {
        &self.user
    }

    /// Whether it covers `adapter`.
    pub fn covers(&self, adapter: &AdapterId) -> bool {
        self.namespace == adapter.namespace
    }
}

impl YankPermit {
    /// Who yanks.
    pub const fn user(&self) -> &Namespace {
        &self.user
    }

    /// Whether it covers `adapter`.
    pub fn covers(&self, adapter: &AdapterId) -> bool {
        self.namespace == adapter.namespace
    }
}

impl OperatorPermit {
    /// Whoever can open the database can do anything with it: the command line is trusted.
    pub const fn command_line() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(text: &str) -> Namespace {
        text.parse().expect("a namespace")
    }

    fn caller(scopes: &[Scope]) -> Caller {
        let token = TokenInfo { name: "laptop".into(), scopes: scopes.to_vec(), expires_at: None };
        Caller::new(namespace("ada"), token)
    }

    #[test]
    fn membership_of_one_namespace_is_no_permit_for_another() {
        let membership = Membership::new(namespace("ada"));
        let caller = caller(&Scope::ALL);
        assert!(caller.publish_in(&namespace("ada"), Some(&membership)).is_ok());
        let refused = caller.publish_in(&namespace("grace"), Some(&membership)).expect_err("not hers");
        assert_eq!(refused.to_string(), "`ada` is not a member of the namespace `grace`");
        assert!(caller.yank_in(&namespace("ada"), None).is_err());
    }

    #[test]
    fn a_member_needs_the_scope_too() {
        let membership = Membership::new(namespace("ada"));
        let refused = caller(&[Scope::Read]).publish_in(&namespace("ada"), Some(&membership));
        assert_eq!(refused.expect_err("read only").to_string(), "the token `laptop` has no scope `publish`");
    }

    #[test]
    fn without_scope_read_a_token_sees_what_anybody_sees() {
        assert_eq!(caller(&[Scope::Publish]).viewer().as_sql(), "");
        assert_eq!(caller(&[Scope::Read]).viewer().as_sql(), "ada");
    }
}
