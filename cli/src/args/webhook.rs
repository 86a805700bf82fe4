//! `hub webhook`.

use clap::{Args, Subcommand};
use hub_schemas::Namespace;

/// Arguments of `hub webhook`.
#[derive(Debug, Args)]
#[command(after_help = "\
Events are CloudEvents, signed as Standard Webhooks says. These need the role `owner` in the namespace and a
token with the scope `admin`.")]
pub(crate) struct WebhookArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: WebhookVerb,
}

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookVerb {
    /// Send the events of a namespace to an address, and print the secret that signs them, this once
    Add {
        /// The namespace
        namespace: Namespace,
        /// An `https` address of the public internet
        url: String,
    },
    /// List where the events of a namespace are sent, and what came of the last one
    List {
        /// The namespace
        namespace: Namespace,
    },
    /// Send the events of a namespace there no more
    Remove {
        /// The namespace
        namespace: Namespace,
        /// The webhook's id, as `hub webhook list` shows it
        id: String,
    },
}
