//! `hub token`.

use clap::{Args, Subcommand};
use hub_schemas::{AdapterId, pattern::NamePattern, token::Scopes};

/// Arguments of `hub token`.
#[derive(Debug, Args)]
#[command(after_help = "\
`create`, `list` and `revoke` need a token with the scope `admin`; a new token may do at most what that one may.")]
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
    /// Exchange the identity token of a CI job for a token that publishes one adapter, and print it
    Exchange {
        /// The adapter, which trusts the job (`hub publisher add`)
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
        /// Read the identity token from standard input [default: `HUB_IDENTITY_TOKEN`, or GitHub Actions is asked]
        #[arg(long)]
        identity_stdin: bool,
    },
    /// Make a token useless
    Revoke {
        /// Its id, as `hub token list` shows it
        id: String,
    },
}
