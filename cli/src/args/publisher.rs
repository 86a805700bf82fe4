//! `hub publisher`.

use clap::{Args, Subcommand};
use hub_schemas::AdapterId;

/// Arguments of `hub publisher`.
#[derive(Debug, Args)]
#[command(after_help = "\
A trusted publisher needs no secret: a job of a CI proves what it is with an identity token of its issuer, and
`hub token exchange` gives it a token that publishes this one adapter for some minutes, with your rights.
These need the role `maintainer` and a token with the scope `admin`.")]
pub(crate) struct PublisherArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: PublisherVerb,
}

/// What can be done with trusted publishers.
#[derive(Debug, Subcommand)]
pub(crate) enum PublisherVerb {
    /// Trust programs with publishing an adapter, or one to be
    Add {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
        /// Who signs their identity tokens, as in `https://token.actions.githubusercontent.com`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// What a claim must be: a text, or a beginning and `*`, as in
        /// `sub=repo:ukp/adapters:ref:refs/heads/main`; `sub` is always among them
        #[arg(long = "claim", value_name = "NAME=VALUE", required = true, value_parser = claim)]
        claims: Vec<(String, String)>,
    },
    /// List who is trusted with publishing an adapter
    List {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
    },
    /// Trust a publisher no more
    Remove {
        /// The adapter
        #[arg(value_name = "NAMESPACE/NAME")]
        adapter: AdapterId,
        /// The publisher's id, as `hub publisher list` shows it
        id: String,
    },
}

fn claim(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = parts.ok_or_else(|| format!("`{text}` is not of the form `name=value`"))?;
    Ok((name.to_owned(), value.to_owned()))
}
