//! The verbs for operators, on the machine's own command line.
//!
//! Data goes to standard output, talk to the log; a new token's secret is the only
//! thing `token create` prints, so that a script can take it as it is.

mod archive;
mod garbage;
mod members;
mod tokens;
mod users;

use std::io::{self, Write as _};

use hub_schemas::{name::Namespace, token::Scope};

pub use archive::{export, import};
pub use garbage::collect_garbage;
pub use members::{add_member, add_namespace};
pub use tokens::{Lifetime, LifetimeError, create_token, list_tokens, mint, revoke_token};
pub use users::{add_user, list_users};

use crate::{
    app::{App, StartError},
    archive::ArchiveError,
    config::Config,
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
    /// No such token.
    #[error("there is no working token with the id `{0}`; `hub-server token list` shows them")]
    NoToken(String),
    /// No scope at all.
    #[error("a token needs at least one scope")]
    NoScope,
    /// The folder of an export.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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

fn scope_list(scopes: &[Scope]) -> String {
    scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",")
}
