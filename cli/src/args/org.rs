//! `hub org`.

use clap::{Args, Subcommand};
use hub_schemas::Namespace;

/// Arguments of `hub org`.
#[derive(Debug, Args)]
pub(crate) struct OrgArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: OrgVerb,
}

/// What can be done with organisations; `hub access` says who belongs to one.
#[derive(Debug, Subcommand)]
pub(crate) enum OrgVerb {
    /// Make an organisation that you own
    Create {
        /// Its name
        name: Namespace,
    },
}
