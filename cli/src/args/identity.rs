//! `hub identity`.

use clap::{Args, Subcommand};

/// Arguments of `hub identity`.
#[derive(Debug, Args)]
#[command(after_help = "\
An identity is a person as a provider of logins knows them; `hub login --oidc` logs in by it, and
`hub login --oidc --link` adds one. These need a token with the scope `admin`.")]
pub(crate) struct IdentityArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: IdentityVerb,
}

/// What can be done with identities.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityVerb {
    /// List who logs in as you with an identity provider
    List,
    /// Let an identity log in as you no more; the tokens that it got go on working
    Remove {
        /// The identity's id, as `hub identity list` shows it
        id: String,
    },
}
