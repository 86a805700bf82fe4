//! `hub bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hub_schemas::Reference;

/// Arguments of `hub bundle`.
#[derive(Debug, Args)]
#[command(after_help = "\
A bundle is a tar file with manifests and files by digest: adapters, what they depend on, and their base
models. Export prints the digests of the versions in it; import prints them again, and refuses whatever
does not have them.")]
pub(crate) struct BundleArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: BundleVerb,
}

/// What can be done with bundles.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleVerb {
    /// Write versions into a file, to carry them to a site without a network
    Export {
        /// Which adapters and base models
        #[arg(value_name = "REF", required = true)]
        references: Vec<Reference>,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Leave base models out
        #[arg(long)]
        no_base: bool,
    },
    /// Verify a bundle and put its versions into the local cache
    Import {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Publish them to the registry too, under their own names
        #[arg(long)]
        push: bool,
        /// Publish what is new to the registry for members of the namespace only
        #[arg(long, requires = "push")]
        private: bool,
        /// Publish what is new to the registry for its users only
        #[arg(long, requires = "push", conflicts_with = "private")]
        internal: bool,
    },
}
