//! The verbs for operators, on the machine's own command line.
//!
//! Data goes to standard output, talk to the log; a new token's secret is the only
//! thing `token create` prints, so that a script can take it as it is.

mod archive;
mod audit;
mod follow;
mod garbage;
mod members;
mod names;
mod quota;
mod rebuild;
mod report;
mod retention;
mod settings;
mod tokens;
mod users;

use std::io::{self, Write as _};

use hub_schemas::name::{AdapterId, Namespace};

pub use archive::{export, import};
pub use audit::export_audit;
pub use follow::follow;
pub use garbage::collect_garbage;
pub use members::{add_member, add_namespace, remove_member};
pub use names::{list_names, quarantine, release_name, reserve_name};
pub use quota::set_quota;
pub use rebuild::rebuild;
pub use report::Format;
pub(crate) use report::rows;
pub use retention::retire;
pub use settings::show_settings;
pub use tokens::{Lifetime, LifetimeError, create_token, list_tokens, mint, revoke_token};
pub use users::{add_user, link_identity, list_users, set_administrator, set_password, unlink_identities};

use crate::{
    app::{App, StartError},
    archive::ArchiveError,
    config::Config,
    domain::{password::PasswordError, permissions::Denied, token::TokenError},
    rebuild::RebuildError,
};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The registry can't be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// There is one already.
    #[error("the user `{0}` exists already")]
    UserExists(Namespace),
    /// The name is taken.
    #[error("the namespace `{0}` exists already")]
    NamespaceExists(Namespace),
    /// Nobody of this name.
    #[error("there is no user `{0}`; `hub-server user add {0}` makes one")]
    NoUser(Namespace),
    /// Nothing of this name.
    #[error("there is no namespace `{0}`; `hub-server namespace add {0} --owner USER` makes one")]
    NoNamespace(Namespace),
    /// Nothing of this name.
    #[error("there is no adapter `{0}`")]
    NoAdapter(AdapterId),
    /// Nobody logs in by its word.
    #[error("`{0}` is no identity provider of this registry; name it in its file, as a `[[logins]]`")]
    NoProvider(String),
    /// Somebody is one user.
    #[error("`{subject}` of `{issuer}` logs in as a user already")]
    Linked {
        /// The provider.
        issuer: String,
        /// What it calls them.
        subject: String,
    },
    /// Nobody kept it back.
    #[error("the name `{0}` is not reserved by an operator; `hub-server name list` shows those that are")]
    NotReserved(Namespace),
    /// No such token.
    #[error("there is no working token with the id `{0}`; `hub-server token list` shows them")]
    NoToken(String),
    /// A token that can't be.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A password that can't be.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Nobody to change.
    #[error("`{user}` is not a member of `{namespace}`")]
    NotAMember {
        /// Where.
        namespace: Namespace,
        /// Who.
        user: Namespace,
    },
    /// A namespace needs an owner; a user's own, that user.
    #[error("`{user}` is the owner that `{namespace}` can't be without; make somebody else an owner first")]
    Ownerless {
        /// Where.
        namespace: Namespace,
        /// Who.
        user: Namespace,
    },
    /// The command line may do anything, so this does not happen.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The folder of an export.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The storage or the database.
    #[error("can't rebuild the registry: {0}")]
    Rebuild(#[from] RebuildError),
    /// Another registry can't be followed.
    #[error("can't take the changes of another registry: {0}")]
    Follow(String),
    /// The garbage can't be collected.
    #[error("can't collect garbage: {0}")]
    Garbage(String),
    /// Standard output is closed.
    #[error("can't write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Opens the registry for a verb.
pub async fn open(config: &Config) -> Result<App, AdminError> {
    Ok(App::open(config).await?)
}

fn print(line: &str) -> Result<(), AdminError> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
