//! `hub token`.

use clap::{Args, Subcommand};
use hub_schemas::{pattern::NamePattern, token::Scopes};

/// Arguments of `hub token`.
#[derive(Debug, Args)]
#[command(after_help = "\
These need a token with the scope `admin`; a new token may do at most what that one may.")]
pub(crate) struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print its secret, this once
    Create {
        /// What to call it
        name: String,
        /// What it may do: `read`, `publish-new`, `publish-update` (both together `publish`), `yank`, `admin`
        #[arg(long, value_name = "SCOPES", default_value = "read")]
        scope: Scopes,
        /// The adapters to limit it to, as in `lab/*,ada/bert-*` [default: all]
        #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
        names: Vec<NamePattern>,
        /// Days that it works; without it, until it is revoked
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
        expires: Option<u16>,
    },
    /// List your tokens, without their secrets
    List,
    /// Make a token useless
    Revoke {
        /// Its id, as `hub token list` shows it
        id: String,
    },
}
